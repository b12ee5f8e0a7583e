//! What needs a person: a row each, raised while its cause stands, gone when it does. Each node raises and clears what it
//! sees itself; the leader what all nodes share, and it clears what a node that is gone had raised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use parking_lot::Mutex;

use super::janitor::{FindingVerdict, Sweep};
use super::shared::Shared;
use crate::store::{AlarmKey, AlarmRow, StoreError};

/// Between two looks at the causes.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// A cleanup job older than this wants a person.
const OVERDUE: TimeDelta = TimeDelta::days(1);
/// A budget blocked for longer than this wants one too.
const BLOCKED: Duration = Duration::from_secs(5);

/// What alarms are about: the closed list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub enum AlarmCode {
    /// A cleanup job has not been paid for a day.
    CleanupOverdue,
    /// Objects bear marks of another deployment or database.
    ForeignTags,
    /// Something published into an ingest whose relay is over.
    Stray,
    /// Cloudflare did not take settings over as sent.
    EchoDiffers,
    /// A list may be cut, and what is behind its end is not seen.
    ListCut,
    /// A vendor refuses our credentials.
    CredentialsRefused,
    /// A vendor blocks us.
    BudgetBlocked,
    /// The customer host's `/lifecycle` does not answer as it is documented.
    LifecycleUndocumented,
    /// The configured customer host is not the one that Cloudflare's answers name.
    CustomerHostDiffers,
    /// The wall clock was set, or the machine slept.
    ClockStepped,
    /// The marketplace's endpoint did not take a message for as long as it was tried.
    WebhookEndpoint,
}

/// What the janitor last saw.
#[derive(Debug, Default)]
pub(super) struct LastSweep(Mutex<SweepSummary>);

#[derive(Debug, Clone, Copy, Default)]
struct SweepSummary {
    foreign: usize,
    may_be_cut: bool,
    converters_may_be_cut: bool,
}

impl LastSweep {
    /// The janitor has been round.
    pub(super) fn record(&self, sweep: &Sweep) {
        let summary = SweepSummary {
            foreign: sweep.count(FindingVerdict::Foreign),
            may_be_cut: sweep.may_be_cut,
            converters_may_be_cut: sweep.converters_may_be_cut,
        };
        *self.0.lock() = summary;
    }

    fn get(&self) -> SweepSummary {
        *self.0.lock()
    }
}

/// Alarms by code and subject, and what each says.
type Causes = BTreeMap<(AlarmCode, String), String>;

/// The node of an alarm whose cause all nodes share.
const ALL: &str = "";

/// Keeps the rows of causes that all nodes share in step with them, forever.
pub(super) async fn watch_forever(shared: Arc<Shared>) {
    loop {
        let watched = async {
            reconcile(&shared, ALL, &causes_of_all(&shared).await?).await?;
            clear_what_gone_nodes_raised(&shared).await
        };
        if let Err(error) = watched.await {
            tracing::debug!(%error, "alarms were not brought up to date");
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The same for what this node sees.
pub(super) async fn watch_own_forever(shared: Arc<Shared>) {
    loop {
        if let Err(error) = reconcile(&shared, &shared.node, &own_causes(&shared)).await {
            tracing::debug!(%error, "this node's alarms were not brought up to date");
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Raises and clears the alarms of one node.
async fn reconcile(shared: &Shared, node: &str, causes: &Causes) -> Result<(), StoreError> {
    let now = shared.clock.now();
    let mut raised = shared.store.alarms().await?;
    raised.retain(|alarm| alarm.node == node);
    let is_for = |alarm: &AlarmRow, (code, subject): &(AlarmCode, String)| {
        alarm.code == code.to_string() && alarm.subject == *subject
    };
    for alarm in &raised {
        if !causes.keys().any(|key| is_for(alarm, key)) {
            clear(shared, alarm).await?;
        }
    }
    for (key, detail) in causes {
        let (code, subject) = (key.0.to_string(), key.1.clone());
        if !raised.iter().any(|alarm| is_for(alarm, key)) {
            tracing::error!(code, subject, detail, "alarm");
        }
        let node = node.to_owned();
        let key = AlarmKey {
            code,
            subject,
            node,
        };
        shared.store.raise_alarm(key, detail, now).await?;
    }
    Ok(())
}

async fn clear(shared: &Shared, alarm: &AlarmRow) -> Result<(), StoreError> {
    tracing::info!(
        code = alarm.code,
        subject = alarm.subject,
        node = alarm.node,
        "an alarm is over"
    );
    shared.store.clear_alarm(alarm.into()).await
}

async fn clear_what_gone_nodes_raised(shared: &Shared) -> Result<(), StoreError> {
    // A process that has its database to itself is no row of `nodes`.
    let nodes = match shared.store.is_shared() {
        true => shared.store.fleet().await?.nodes,
        false => Vec::new(),
    };
    let is_there = |name: &str| {
        name == ALL || name == shared.node || nodes.iter().any(|node| node.name == name)
    };
    for alarm in shared.store.alarms().await? {
        if !is_there(&alarm.node) {
            clear(shared, &alarm).await?;
        }
    }
    Ok(())
}

/// What the database and the janitor tell, to whichever node asks.
async fn causes_of_all(shared: &Shared) -> Result<Causes, StoreError> {
    let mut causes = Causes::new();
    let now = shared.clock.now();
    for count in shared.store.cleanup_job_counts().await? {
        if now - count.oldest > OVERDUE {
            let detail = format!("{} open, the oldest since {}.", count.open, count.oldest);
            causes.insert((AlarmCode::CleanupOverdue, count.kind), detail);
        }
    }
    for ingest in shared.store.cleanup_targets(STRAYS).await? {
        let detail =
            "Something published into this ingest after its relay was over; it is being disabled.";
        causes.insert((AlarmCode::Stray, ingest), detail.into());
    }
    if shared.delivers()
        && let Some((since, waiting)) = shared.store.endpoint_disabled().await?
    {
        let detail = format!(
            "The marketplace's endpoint did not take a message for 3 days, and counts as disabled since {since}: one message \
             is tried every hour, {waiting} wait. The first that is taken, or asked for again by hand, ends this."
        );
        causes.insert((AlarmCode::WebhookEndpoint, String::new()), detail);
    }
    let summary = shared.last_sweep.get();
    if summary.foreign > 0 {
        let detail = format!(
            "{} objects bear marks of another deployment or database.",
            summary.foreign
        );
        causes.insert((AlarmCode::ForeignTags, String::new()), detail);
    }
    if summary.may_be_cut {
        let detail =
            "Cloudflare's list of ingests may be cut: what is behind its end is not swept.";
        causes.insert((AlarmCode::ListCut, "live_inputs".into()), detail.into());
    }
    if summary.converters_may_be_cut {
        let detail =
            "Agora's list of converters has entries that cannot be read: those are not swept.";
        causes.insert((AlarmCode::ListCut, "converters".into()), detail.into());
    }
    Ok(causes)
}

/// What this node has seen of its relays and of the vendors.
fn own_causes(shared: &Shared) -> Causes {
    let mut causes = Causes::new();
    for relay in shared.directory.all() {
        let fields = &relay.durable.ingest.echo_differs;
        if !fields.is_empty() {
            let detail = format!(
                "Cloudflare did not take over, though told twice: {}.",
                fields.join(", ")
            );
            causes.insert(
                (
                    AlarmCode::EchoDiffers,
                    relay.durable.spec.relay_id.to_string(),
                ),
                detail,
            );
        }
    }
    if let Some(step) = shared.clock.step() {
        let detail = format!(
            "The wall clock of this node stepped by {} s within the last hour. Relays in progress keep their own time; \
             signatures, tokens and new relays follow it. Check NTP; a machine that was suspended steps as well.",
            step.by.num_seconds()
        );
        causes.insert((AlarmCode::ClockStepped, shared.node.clone()), detail);
    }
    let (cloudflare, agora) = (&shared.vendors.cloudflare, &shared.vendors.agora);
    if let Some(what) = cloudflare.customer().contradiction() {
        let detail = format!(
            "{what}. Buyers are sent there, and no relay goes live: correct CLOUDFLARE_STREAM_CUSTOMER_BASE_URL, or leave it out."
        );
        causes.insert((AlarmCode::CustomerHostDiffers, String::new()), detail);
    }
    if let Some(last) = cloudflare.refusal() {
        causes.insert(
            (AlarmCode::CredentialsRefused, "cloudflare".into()),
            last.error.to_string(),
        );
    }
    if let Some(last) = agora.refusal() {
        causes.insert(
            (AlarmCode::CredentialsRefused, "agora".into()),
            last.error.to_string(),
        );
    }
    if let Some(said) = shared.vendors.lifecycle.complaint() {
        let detail = format!(
            "/lifecycle does not answer as documented ({said}): whether relays are live comes from GET live_inputs/{{uid}}, as often \
             as half the API's budget allows, which is rarer. It is tried again now and then."
        );
        causes.insert((AlarmCode::LifecycleUndocumented, String::new()), detail);
    }
    let ours = [cloudflare.budget(), cloudflare.customer().budget()];
    for budget in ours.into_iter().chain(agora.budgets()) {
        if let Some(pause) = budget.paused_for.filter(|pause| *pause > BLOCKED) {
            let detail = format!(
                "Nobody calls for another {} s: the vendor said so.",
                pause.as_secs()
            );
            causes.insert((AlarmCode::BudgetBlocked, budget.name.to_owned()), detail);
        }
    }
    causes
}

/// The kind of cleanup job a stray leaves.
pub(super) const STRAYS: &str = "disable_stray";
