//! Alarms: one row for each condition that needs an operator, deleted when the condition ends. Each node raises its own; the leader
//! raises those that all nodes share, and clears those of nodes that left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;

use super::calls::VendorClients;
use super::context::NodeContext;
use super::janitor::{FindingVerdict, Sweep};
use crate::relay::CleanupKind;
use crate::store::{AlarmKey, AlarmRow, StoreError};

const CHECK_EVERY: Duration = Duration::from_secs(5);
const CLEANUP_OVERDUE_AFTER: TimeDelta = TimeDelta::days(1);
const PAUSE_ALARM_AFTER: Duration = Duration::from_secs(5);

/// The alarms of any platform. Each platform has more: [`crate::platforms::Platform::complaints`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub enum AlarmCode {
    /// A cleanup job is a day old.
    CleanupOverdue,
    /// Objects have tags of another deployment or database.
    ForeignTags,
    /// An encoder publishes into an ingest whose relay is over.
    Stray,
    /// The platform did not store an ingest's settings as sent.
    EchoDiffers,
    /// A vendor's list may be cut.
    ListCut,
    /// A vendor refuses our credentials.
    CredentialsRefused,
    /// Relays or cleanup jobs need a platform that has no credentials.
    PlatformOff,
    /// A vendor asked us to pause.
    BudgetBlocked,
    /// The wall clock was set, or the machine was suspended.
    ClockStepped,
    /// The marketplace accepted no message for 3 days.
    WebhookEndpoint,
}

/// Details by code and subject.
#[derive(Default)]
struct Causes(BTreeMap<(&'static str, String), String>);

impl Causes {
    fn add(&mut self, code: AlarmCode, subject: impl Into<String>, detail: impl Into<String>) {
        self.0.insert((code.into(), subject.into()), detail.into());
    }
}

/// The `node` of alarms that all nodes share.
const ALL: &str = "";

pub(super) async fn watch_forever(context: Arc<NodeContext>, last_sweep: watch::Receiver<Sweep>) {
    loop {
        let watched = async {
            let causes = causes_of_all(&context, &last_sweep).await?;
            reconcile(&context, ALL, &causes).await?;
            clear_alarms_of_gone_nodes(&context).await
        };
        if let Err(error) = watched.await {
            tracing::debug!(%error, "failed to update alarms");
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

pub(super) async fn watch_own_forever(context: Arc<NodeContext>) {
    loop {
        if let Err(error) = reconcile(&context, &context.node, &own_causes(&context)).await {
            tracing::debug!(%error, "failed to update this node's alarms");
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

async fn reconcile(context: &NodeContext, node: &str, causes: &Causes) -> Result<(), StoreError> {
    let now = context.clock.now();
    let mut raised = context.store.alarms().await?;
    raised.retain(|alarm| alarm.node == node);
    let is_for = |alarm: &AlarmRow, (code, subject): &(&'static str, String)| {
        alarm.code == *code && alarm.subject == *subject
    };
    for alarm in &raised {
        if !causes.0.keys().any(|key| is_for(alarm, key)) {
            clear(context, alarm).await?;
        }
    }
    for (key, detail) in &causes.0 {
        let (code, subject) = (key.0.to_owned(), key.1.clone());
        if !raised.iter().any(|alarm| is_for(alarm, key)) {
            tracing::error!(code, subject, detail, "alarm");
        }
        let node = node.to_owned();
        let key = AlarmKey {
            code,
            subject,
            node,
        };
        context.store.raise_alarm(key, detail, now).await?;
    }
    Ok(())
}

async fn clear(context: &NodeContext, alarm: &AlarmRow) -> Result<(), StoreError> {
    tracing::info!(
        code = alarm.code,
        subject = alarm.subject,
        node = alarm.node,
        "alarm cleared"
    );
    context.store.clear_alarm(alarm.into()).await
}

async fn clear_alarms_of_gone_nodes(context: &NodeContext) -> Result<(), StoreError> {
    let mut nodes = context.store.acting().await?;
    nodes.extend([ALL.to_owned(), context.node.clone()]);
    for alarm in context.store.alarms().await? {
        if !nodes.contains(&alarm.node) {
            clear(context, &alarm).await?;
        }
    }
    Ok(())
}

async fn causes_of_all(
    context: &NodeContext,
    last_sweep: &watch::Receiver<Sweep>,
) -> Result<Causes, StoreError> {
    let mut causes = Causes::default();
    let now = context.clock.now();
    for count in context.store.cleanup_job_counts().await? {
        if now - count.oldest > CLEANUP_OVERDUE_AFTER {
            let detail = format!("{} open, the oldest since {}.", count.open, count.oldest);
            causes.add(AlarmCode::CleanupOverdue, count.kind.to_string(), detail);
        }
    }
    for platform in context.store.cleanup_platforms().await? {
        if context.vendors.platforms.get(&platform).is_none() {
            let detail = "Cleanup jobs wait for this platform, which has no credentials. Keep it configured until they are done.";
            causes.add(AlarmCode::PlatformOff, platform, detail);
        }
    }
    let strays = CleanupKind::CloseStray;
    for ingest in context.store.cleanup_targets(strays).await? {
        let detail = "An encoder publishes into this ingest although its relay is over. A cleanup job closes it.";
        causes.add(AlarmCode::Stray, ingest, detail);
    }
    if context.delivers()
        && let Some((since, waiting)) = context.store.endpoint_disabled().await?
    {
        let detail = format!(
            "The marketplace's endpoint accepted no message for 3 days and counts as disabled since {since}. One message is \
             tried every hour; {waiting} wait. The first accepted message, or a redelivery by hand, ends this."
        );
        causes.add(AlarmCode::WebhookEndpoint, "", detail);
    }
    let sweep = last_sweep.borrow();
    let foreign = sweep.count(FindingVerdict::Foreign);
    if foreign > 0 {
        let detail = format!("{foreign} objects bear tags of another deployment or database.");
        causes.add(AlarmCode::ForeignTags, "", detail);
    }
    for platform in &sweep.cut_platforms {
        let detail =
            "The platform's list of ingests may be cut: the janitor does not see the rest.";
        causes.add(AlarmCode::ListCut, *platform, detail);
    }
    if sweep.converters_may_be_cut {
        let detail = "Agora's list of converters has unreadable entries: the janitor skips them.";
        causes.add(AlarmCode::ListCut, "converters", detail);
    }
    Ok(causes)
}

fn own_causes(context: &NodeContext) -> Causes {
    let mut causes = Causes::default();
    let VendorClients {
        platforms, agora, ..
    } = &*context.vendors;
    for relay in context.directory.all() {
        let fields = &relay.durable.ingest.settings_refused;
        if !fields.is_empty() {
            let detail = format!(
                "The platform did not store these settings: {}.",
                fields.join(", ")
            );
            let relay_id = relay.durable.spec.relay_id.to_string();
            causes.add(AlarmCode::EchoDiffers, relay_id, detail);
        }
        let platform = relay.durable.spec.platform.as_str();
        if platforms.get(platform).is_none() {
            let detail = "Unfinished relays use this platform, which has no credentials: all calls to it fail. Keep it configured \
                 until they are over.";
            causes.add(AlarmCode::PlatformOff, platform, detail);
        }
    }
    if let Some(step) = context.clock.step() {
        let detail = format!(
            "The wall clock of this node stepped by {} s within the last hour. Relays in progress keep their own time; \
             signatures, tokens and new relays follow the wall clock. Check NTP, and whether the machine was suspended.",
            step.by.num_seconds()
        );
        causes.add(AlarmCode::ClockStepped, context.node.clone(), detail);
    }
    for platform in platforms.iter() {
        for complaint in platform.complaints() {
            let key = (complaint.code, complaint.subject);
            causes.0.insert(key, complaint.detail);
        }
        if let Some(last) = platform.health().refusal {
            let detail = last.error.to_string();
            causes.add(AlarmCode::CredentialsRefused, platform.name(), detail);
        }
    }
    if let Some(last) = agora.refusal() {
        let detail = last.error.to_string();
        causes.add(AlarmCode::CredentialsRefused, "agora", detail);
    }
    for budget in platforms.budgets().chain(agora.budgets()) {
        if let Some(pause) = budget.paused_for.filter(|pause| *pause > PAUSE_ALARM_AFTER) {
            let detail = format!(
                "The vendor asked for a pause: no calls for another {} s.",
                pause.as_secs()
            );
            causes.add(AlarmCode::BudgetBlocked, budget.name, detail);
        }
    }
    causes
}
