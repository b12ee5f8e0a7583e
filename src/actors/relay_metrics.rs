//! Updates relay metrics after a step is stored.

use chrono::{DateTime, Utc};

use crate::relay::{Durable, Ignored, Step};
use crate::telemetry::metrics;

pub(super) fn relay_started(step: &Step) {
    metrics::STARTS.add(1, []);
    count_journal_entries(step);
}

pub(super) fn event_ignored(reason: Ignored) {
    metrics::EVENTS_IGNORED.add(1, [&reason.to_string()]);
}

/// A step may pass through several phases; each is counted.
pub(super) fn step_stored(before: &Durable, step: &Step, now: DateTime<Utc>) {
    count_journal_entries(step);
    let mut relay = before.clone();
    let mut from = before.phase;
    for fact in &step.facts {
        // Cannot fail: the relay has applied it.
        if relay.apply(fact, now).is_err() {
            return;
        }
        if relay.phase != from {
            metrics::TRANSITIONS.add(1, [&from.to_string(), &relay.phase.to_string()]);
            from = relay.phase;
        }
    }
    let requested_at = before.spec.requested_at;
    let since = |at: DateTime<Utc>| {
        (at - requested_at)
            .to_std()
            .unwrap_or_default()
            .as_secs_f64()
    };
    if let (None, Some(at)) = (before.started_at, relay.started_at) {
        metrics::START_DURATION.observe(since(at), []);
    }
    if let (None, Some(at)) = (before.live_at, relay.live_at) {
        metrics::TIME_TO_LIVE.observe(since(at), []);
    }
    if let (None, Some(outcome)) = (&before.outcome, &relay.outcome) {
        metrics::OUTCOMES.add(1, [&outcome.code.to_string()]);
    }
    let replaced = relay.replacements.saturating_sub(before.replacements);
    metrics::REPLACEMENTS.add(u64::from(replaced), []);
}

fn count_journal_entries(step: &Step) {
    let facts = u64::try_from(step.facts.len()).unwrap_or(u64::MAX);
    metrics::JOURNAL_ENTRIES.add(facts, []);
}
