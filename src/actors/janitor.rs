//! Deletes orphans: vendors' objects with our tag that no unfinished relay owns and no cleanup job names. Purges expired rows too.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::calls::{VendorClients, permit_request};
use super::shared::Shared;
use crate::config::{AgoraBackend, Settings};
use crate::relay::{Namespace, ResourceTag};
use crate::store::{Purge, Store, StoreError};
use crate::telemetry::metrics::{self, Metric};
use crate::vendors::governor::Priority;
use crate::vendors::lease::Lease;
use crate::vendors::{Class, VendorError};

const IDEMPOTENCY_KEYS_KEPT: TimeDelta = TimeDelta::hours(24);
const OUTBOX_KEPT: TimeDelta = TimeDelta::days(7);

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A list or a deletion failed.
    #[error(transparent)]
    Vendor(#[from] VendorError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our tag is not known yet.
    #[error("the database was not read yet")]
    Starting,
}

/// The kind of object.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::VariantNames,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    /// A Cloudflare ingest.
    #[serde(rename = "live_input")]
    #[strum(serialize = "live_input")]
    Ingest,
    /// An Agora Media Push converter.
    Converter,
}

/// What the janitor decided about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindingVerdict {
    /// The tag of another deployment or database.
    Foreign,
    /// Younger than `janitor.grace`, or of unknown age.
    Young,
    /// An unfinished relay owns it.
    Owned,
    /// A cleanup job names it.
    #[serde(rename = "owed")]
    #[strum(serialize = "owed")]
    Cleanup,
    /// Its relay's settings keep it.
    Retained,
    /// An orphan that was not deleted.
    Orphan,
    /// A deleted orphan.
    Removed,
}

/// A tagged object at a vendor.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// The kind of object.
    pub kind: FindingKind,
    /// The vendor's id.
    pub id: String,
    /// Its resource tag.
    #[serde(rename = "mark")]
    pub tag: String,
    /// The time of creation, by the vendor's clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<DateTime<Utc>>,
    /// What the janitor decided.
    pub verdict: FindingVerdict,
}

/// The result of a pass.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Sweep {
    /// All tagged objects.
    pub findings: Vec<Finding>,
    /// The list of ingests may be cut.
    pub may_be_cut: bool,
    /// The list of converters may be cut.
    pub converters_may_be_cut: bool,
    /// The first failed deletion; the pass goes on after it.
    #[serde(skip)]
    failed: Option<VendorError>,
}

impl Sweep {
    /// The number of findings with this verdict.
    #[must_use]
    pub fn count(&self, verdict: FindingVerdict) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    fn verdict(&mut self, kind: FindingKind, deleted: Result<(), VendorError>) -> FindingVerdict {
        match deleted {
            Ok(()) => {
                count(&metrics::ORPHANS_REMOVED, kind);
                FindingVerdict::Removed
            }
            Err(error) => {
                tracing::warn!(%error, %kind, "failed to delete an orphan");
                self.failed.get_or_insert(error);
                FindingVerdict::Orphan
            }
        }
    }
}

pub(super) async fn sweep_forever(shared: Arc<Shared>) {
    loop {
        match sweep(&shared, None, false).await {
            Ok(sweep) => {
                tracing::info!(
                    tagged = sweep.findings.len(),
                    removed = sweep.count(FindingVerdict::Removed),
                    foreign = sweep.count(FindingVerdict::Foreign),
                    "janitor pass done"
                );
                shared.last_sweep.record(&sweep);
                metrics::JANITOR_PASSES.add(1, ["done"]);
            }
            Err(error) => {
                tracing::warn!(%error, "janitor pass failed");
                metrics::JANITOR_PASSES.add(1, ["failed"]);
            }
        }
        purge_all(&shared).await;
        tokio::time::sleep(shared.settings.janitor.interval).await;
    }
}

async fn purge_all(shared: &Shared) {
    let now = shared.clock.now();
    let journal =
        TimeDelta::from_std(shared.settings.database.journal_retention).unwrap_or(TimeDelta::MAX);
    let purge = Purge {
        journal_before: now
            .checked_sub_signed(journal)
            .unwrap_or(DateTime::UNIX_EPOCH),
        idempotency_before: now - IDEMPOTENCY_KEYS_KEPT,
        outbox_before: now - OUTBOX_KEPT,
    };
    loop {
        match shared.store.purge(purge).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to purge expired rows");
                return;
            }
        }
    }
}

/// `database`: a lost database whose tags are swept instead of our own.
pub(super) async fn sweep(
    shared: &Shared,
    database: Option<&str>,
    dry_run: bool,
) -> Result<Sweep, SweepError> {
    let mut owner = shared.owner().ok_or(SweepError::Starting)?;
    if let Some(database) = database {
        owner.database = database.to_owned();
    }
    let mut sweep = Sweep::default();
    let ingests_swept = sweep_ingests(shared, &owner, dry_run, &mut sweep).await;
    // A project without Media Push refuses the call, which would look like invalid credentials.
    if shared.settings.agora.backend == AgoraBackend::MediaPush {
        sweep_converters(shared, &owner, dry_run, &mut sweep).await?;
    }
    ingests_swept?;
    match sweep.failed.take() {
        Some(error) => Err(error.into()),
        None => Ok(sweep),
    }
}

async fn sweep_ingests(
    shared: &Shared,
    owner: &Namespace,
    dry_run: bool,
    sweep: &mut Sweep,
) -> Result<(), SweepError> {
    let cloudflare = &shared.vendors.cloudflare;
    let list = cloudflare
        .list_live_inputs(permit_request(Priority::Janitor))
        .await?;
    sweep.may_be_cut = list.may_be_cut;
    for input in list.live_inputs {
        let Some(tag) = input
            .tag
            .as_deref()
            .and_then(|tag| tag.parse::<ResourceTag>().ok())
        else {
            continue;
        };
        let mut verdict = judge(
            shared,
            owner,
            &tag,
            FindingKind::Ingest,
            &input.uid,
            input.created,
        )
        .await?;
        if verdict == FindingVerdict::Orphan && !dry_run {
            count(&metrics::ORPHANS_FOUND, FindingKind::Ingest);
            tracing::warn!(ingest = input.uid, %tag, "orphan: deleting an unowned ingest");
            let deleted = cloudflare
                .delete_live_input(permit_request(Priority::Janitor), &input.uid)
                .await;
            verdict = sweep.verdict(FindingKind::Ingest, deleted);
        }
        let (id, tag, created) = (input.uid, tag.to_string(), input.created);
        sweep.findings.push(Finding {
            kind: FindingKind::Ingest,
            id,
            tag,
            created,
            verdict,
        });
    }
    Ok(())
}

fn is_not_enabled(error: &VendorError) -> bool {
    error.class == Class::NotFound
        || (error.class == Class::Unauthorized && error.status == Some(403))
}

async fn sweep_converters(
    shared: &Shared,
    owner: &Namespace,
    dry_run: bool,
    sweep: &mut Sweep,
) -> Result<(), SweepError> {
    let media_push = shared.vendors.agora.media_push();
    let list = match media_push.list(permit_request(Priority::Janitor)).await {
        Err(error) if is_not_enabled(&error) => return Ok(()),
        list => list?,
    };
    sweep.converters_may_be_cut = list.may_be_cut;
    for converter in list.converters {
        let Some(tag) = converter
            .name
            .as_deref()
            .and_then(|name| name.parse::<ResourceTag>().ok())
        else {
            continue;
        };
        let created = converter.created_at;
        let mut verdict = judge(
            shared,
            owner,
            &tag,
            FindingKind::Converter,
            &converter.id,
            created,
        )
        .await?;
        if verdict == FindingVerdict::Orphan && !dry_run {
            count(&metrics::ORPHANS_FOUND, FindingKind::Converter);
            tracing::warn!(converter = converter.id, %tag, "orphan: deleting an unowned converter");
            let region = region_of(shared, &tag).await?;
            let deleted = media_push
                .delete(permit_request(Priority::Janitor), &region, &converter.id)
                .await;
            verdict = sweep.verdict(FindingKind::Converter, deleted.map(|_| ()));
        }
        let (id, tag) = (converter.id, tag.to_string());
        sweep.findings.push(Finding {
            kind: FindingKind::Converter,
            id,
            tag,
            created,
            verdict,
        });
    }
    Ok(())
}

fn count(metric: &Metric, kind: FindingKind) {
    metric.add(1, [&kind.to_string()]);
}

async fn judge(
    shared: &Shared,
    owner: &Namespace,
    tag: &ResourceTag,
    kind: FindingKind,
    id: &str,
    created: Option<DateTime<Utc>>,
) -> Result<FindingVerdict, SweepError> {
    if tag.namespace != *owner {
        return Ok(FindingVerdict::Foreign);
    }
    let grace = TimeDelta::from_std(shared.settings.janitor.grace).unwrap_or(TimeDelta::MAX);
    if created.is_none_or(|created| shared.clock.now() - created < grace) {
        return Ok(FindingVerdict::Young);
    }
    if shared.owner().as_ref() != Some(owner) {
        // The owner is a lost database: nothing more is known.
        return Ok(FindingVerdict::Orphan);
    }
    if shared.directory.get(tag.relay).is_some() {
        return Ok(FindingVerdict::Owned);
    }
    let Some(stored) = shared.store.relay(tag.relay).await? else {
        // The database was restored from a backup.
        return Ok(FindingVerdict::Orphan);
    };
    if stored.ended_at.is_none() {
        return Ok(FindingVerdict::Owned);
    }
    let cleanup_jobs = shared.store.cleanup_jobs_of(tag.relay).await?;
    if cleanup_jobs.iter().any(|open| open.target == id) {
        return Ok(FindingVerdict::Cleanup);
    }
    let kept = kind == FindingKind::Ingest
        && stored.durable().is_ok_and(|durable| {
            durable.spec.keep_ingest && durable.ingest.uid.as_deref() == Some(id)
        });
    Ok(if kept {
        FindingVerdict::Retained
    } else {
        FindingVerdict::Orphan
    })
}

async fn region_of(shared: &Shared, tag: &ResourceTag) -> Result<String, SweepError> {
    let stored = shared.store.relay(tag.relay).await?;
    let region = stored.and_then(|stored| stored.region);
    Ok(region.unwrap_or_else(|| shared.settings.agora.media_push.region.clone()))
}

/// Makes one pass without a service. The database knows the owners, so unfinished relays are safe.
pub async fn sweep_once(
    settings: Settings,
    database: Option<&str>,
    dry_run: bool,
) -> anyhow::Result<Sweep> {
    let settings = Arc::new(settings);
    let runtime = tokio::runtime::Handle::current();
    let store = Store::connect(&settings.database).await?;
    let vendors = Arc::new(VendorClients::new(
        settings.clone(),
        runtime.clone(),
        Lease::for_good(),
    )?);
    let instance = store.instance().await?;
    let shared = Shared::new(settings.clone(), store.clone(), vendors, runtime);
    shared.set_owner(Namespace {
        deployment: settings.relay.deployment.clone(),
        database: instance.database_id,
    });
    let sweep = sweep(&shared, database, dry_run).await?;
    store.close().await;
    Ok(sweep)
}
