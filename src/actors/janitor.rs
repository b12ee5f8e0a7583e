//! Deletes orphans: vendors' objects with our tag that no unfinished relay owns and no cleanup job names. Purges expired rows too.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::calls::{VendorClients, permit_request};
use super::cluster::Cluster;
use super::context::NodeContext;
use super::status::NodeStatus;
use crate::config::Settings;
use crate::egresses::{EgressBackend, ListedEgress};
use crate::platforms::{Platform, Platforms, Removal};
use crate::relay::{EgressRef, Namespace, ResourceTag};
use crate::store::{Purge, Store, StoreError};
use crate::telemetry::metrics::{self, Metric};
use crate::vendors::VendorError;
use crate::vendors::governor::Priority;
use crate::vendors::lease::Lease;

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
    /// A platform's ingest.
    #[serde(rename = "live_input")]
    #[strum(serialize = "live_input")]
    Ingest,
    /// An egress.
    #[serde(rename = "converter")]
    #[strum(serialize = "converter")]
    Egress,
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
    /// Its channel keeps it, or its relay's settings do.
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
    #[serde(skip)]
    pub(super) cut_platforms: Vec<&'static str>,
    /// The list of egresses may be cut.
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

/// Publishes the foreign findings of each pass.
pub(super) async fn sweep_forever(
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    last_sweep: watch::Sender<Sweep>,
) {
    loop {
        match sweep(&context, status.namespace(), None, false).await {
            Ok(mut sweep) => {
                tracing::info!(
                    tagged = sweep.findings.len(),
                    removed = sweep.count(FindingVerdict::Removed),
                    foreign = sweep.count(FindingVerdict::Foreign),
                    "janitor pass done"
                );
                sweep
                    .findings
                    .retain(|finding| finding.verdict == FindingVerdict::Foreign);
                last_sweep.send_replace(sweep);
                metrics::JANITOR_PASSES.add(1, ["done"]);
            }
            Err(error) => {
                tracing::warn!(%error, "janitor pass failed");
                metrics::JANITOR_PASSES.add(1, ["failed"]);
            }
        }
        purge_all(&context).await;
        tokio::time::sleep(context.settings.janitor.interval).await;
    }
}

async fn purge_all(context: &NodeContext) {
    let now = context.clock.now();
    let journal =
        TimeDelta::from_std(context.settings.database.journal_retention).unwrap_or(TimeDelta::MAX);
    let purge = Purge {
        journal_before: now
            .checked_sub_signed(journal)
            .unwrap_or(DateTime::UNIX_EPOCH),
        idempotency_before: now - IDEMPOTENCY_KEYS_KEPT,
        outbox_before: now - OUTBOX_KEPT,
    };
    loop {
        match context.store.purge(purge).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to purge expired rows");
                return;
            }
        }
    }
}

/// `lost`: a lost database whose tags are swept instead of our own.
pub(super) async fn sweep(
    context: &NodeContext,
    own: Option<Namespace>,
    lost: Option<&str>,
    dry_run: bool,
) -> Result<Sweep, SweepError> {
    let own = own.ok_or(SweepError::Starting)?;
    let mut swept = own.clone();
    if let Some(lost) = lost {
        swept.database = lost.to_owned();
    }
    let pass = Pass {
        context,
        is_lost: swept != own,
        swept,
        dry_run,
    };
    let mut sweep = Sweep::default();
    let ingests_swept = pass.sweep_ingests(&mut sweep).await;
    // Only the chosen backend's: a project without Media Push refuses the call, which would look like invalid credentials.
    pass.sweep_egresses(context.vendors.egresses.chosen(), &mut sweep)
        .await?;
    ingests_swept?;
    match sweep.failed.take() {
        Some(error) => Err(error.into()),
        None => Ok(sweep),
    }
}

struct Pass<'a> {
    context: &'a NodeContext,
    swept: Namespace,
    /// Nothing is known of the swept database's relays.
    is_lost: bool,
    dry_run: bool,
}

impl Pass<'_> {
    async fn sweep_ingests(&self, sweep: &mut Sweep) -> Result<(), SweepError> {
        for platform in self.context.vendors.platforms.iter() {
            self.sweep_platform(platform.as_ref(), sweep).await?;
        }
        Ok(())
    }

    async fn sweep_platform(
        &self,
        platform: &dyn Platform,
        sweep: &mut Sweep,
    ) -> Result<(), SweepError> {
        let permit = || permit_request(Priority::Janitor);
        let list = platform.list_tagged(permit()).await?;
        if list.may_be_cut {
            sweep.may_be_cut = true;
            sweep.cut_platforms.push(platform.name());
        }
        for ingest in list.ingests {
            let Ok(tag) = ingest.tag.parse::<ResourceTag>() else {
                continue;
            };
            let kind = FindingKind::Ingest;
            let mut verdict = self.judge(&tag, kind, &ingest.id, ingest.created).await?;
            if verdict == FindingVerdict::Orphan && self.is_kept(platform, &ingest.id).await? {
                verdict = FindingVerdict::Retained;
            }
            if verdict == FindingVerdict::Orphan && !self.dry_run {
                count(&metrics::ORPHANS_FOUND, kind);
                tracing::warn!(ingest = ingest.id, %tag, "orphan: deleting an unowned ingest");
                verdict = match platform.discard(permit(), &ingest.id).await {
                    Ok(Removal::StillLive { .. }) => FindingVerdict::Orphan,
                    removed => sweep.verdict(kind, removed.map(|_| ())),
                };
            }
            sweep.findings.push(Finding {
                kind,
                id: ingest.id,
                tag: tag.to_string(),
                created: ingest.created,
                verdict,
            });
        }
        Ok(())
    }

    async fn sweep_egresses(
        &self,
        backend: &dyn EgressBackend,
        sweep: &mut Sweep,
    ) -> Result<(), SweepError> {
        let permit = || permit_request(Priority::Janitor);
        let Some(list) = backend.list(permit()).await? else {
            return Ok(());
        };
        sweep.converters_may_be_cut = list.may_be_cut;
        for ListedEgress { egress, created } in list.egresses {
            let (Ok(tag), Some(handle)) = (egress.tag.parse::<ResourceTag>(), &egress.handle)
            else {
                continue;
            };
            let (kind, id) = (FindingKind::Egress, handle.to_string());
            let mut verdict = self.judge(&tag, kind, &id, created).await?;
            if verdict == FindingVerdict::Orphan && !self.dry_run {
                count(&metrics::ORPHANS_FOUND, kind);
                tracing::warn!(egress = id, %tag, "orphan: stopping an unowned egress");
                let egress = self.as_started(&tag, egress).await?;
                let stopped = backend.stop(permit(), &egress).await;
                verdict = sweep.verdict(kind, stopped.map(|_| ()));
            }
            sweep.findings.push(Finding {
                kind,
                id,
                tag: tag.to_string(),
                created,
                verdict,
            });
        }
        Ok(())
    }

    /// With the options of the relay that started it, if it is known.
    async fn as_started(
        &self,
        tag: &ResourceTag,
        egress: EgressRef,
    ) -> Result<EgressRef, SweepError> {
        let stored = self.context.store.relay(tag.relay).await?;
        let started = stored.and_then(|stored| stored.egress_ref());
        let started = started.filter(|started| started.backend.name == egress.backend.name);
        let backend = started.map_or(egress.backend, |started| started.backend);
        Ok(EgressRef { backend, ..egress })
    }

    /// By a channel, of the database that is swept.
    async fn is_kept(&self, platform: &dyn Platform, ingest: &str) -> Result<bool, StoreError> {
        if self.is_lost {
            return Ok(false);
        }
        let store = &self.context.store;
        let kept = store.kept_ingest_with_id(platform.name(), ingest).await?;
        Ok(kept.is_some())
    }

    async fn judge(
        &self,
        tag: &ResourceTag,
        kind: FindingKind,
        id: &str,
        created: Option<DateTime<Utc>>,
    ) -> Result<FindingVerdict, SweepError> {
        let NodeContext {
            settings,
            clock,
            store,
            directory,
            ..
        } = self.context;
        if tag.namespace != self.swept {
            return Ok(FindingVerdict::Foreign);
        }
        let grace = TimeDelta::from_std(settings.janitor.grace).unwrap_or(TimeDelta::MAX);
        if created.is_none_or(|created| clock.now() - created < grace) {
            return Ok(FindingVerdict::Young);
        }
        if self.is_lost {
            return Ok(FindingVerdict::Orphan);
        }
        if directory.get(tag.relay).is_some() {
            return Ok(FindingVerdict::Owned);
        }
        let Some(stored) = store.relay(tag.relay).await? else {
            // The database was restored from a backup.
            return Ok(FindingVerdict::Orphan);
        };
        if stored.ended_at.is_none() {
            return Ok(FindingVerdict::Owned);
        }
        let cleanup_jobs = store.cleanup_jobs_of(tag.relay).await?;
        if cleanup_jobs.iter().any(|open| open.target == id) {
            return Ok(FindingVerdict::Cleanup);
        }
        let kept = kind == FindingKind::Ingest
            && stored.durable().is_ok_and(|durable| {
                durable.spec.keep_ingest && durable.ingest.id.as_deref() == Some(id)
            });
        Ok(if kept {
            FindingVerdict::Retained
        } else {
            FindingVerdict::Orphan
        })
    }
}

fn count(metric: &Metric, kind: FindingKind) {
    metric.add(1, [&kind.to_string()]);
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
    let lease = Lease::for_good();
    let platforms = Platforms::of_settings(&settings, &runtime, &lease, None)?;
    let vendors = Arc::new(VendorClients::new(
        settings.clone(),
        runtime.clone(),
        lease,
        platforms,
    )?);
    let instance = store.instance().await?;
    let own = Namespace {
        deployment: settings.relay.deployment.clone(),
        database: instance.database_id,
    };
    let context = NodeContext::new(settings, Cluster::on(store.clone()), vendors, runtime);
    let sweep = sweep(&context, Some(own), database, dry_run).await?;
    store.close().await;
    Ok(sweep)
}
