//! Ends a relay that cannot be driven, with one cleanup job for each vendor id in its columns.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::context::NodeContext;
use super::records;
use super::view::{WireTime, relay_json};
use crate::egresses::EgressBackend;
use crate::relay::{
    Announcement, BackendName, Cleanup, Cost, Detail, Outcome, OutcomeCode, Phase, Prices, Source,
};
use crate::store::{
    CleanupJobRow, ForcedEnd, JournalEntry, JsonText, LedgerRow, OutboxEntry, Projection,
    StoredRelay, until_answered,
};

pub(super) async fn end(context: &NodeContext, stored: &StoredRelay, reason: &str) {
    let keeps = async || match &stored.ingest_id {
        Some(id) => {
            context
                .store
                .kept_ingest_with_id(&stored.platform, id)
                .await
        }
        None => Ok(None),
    };
    // If that cannot be read, the janitor removes an ingest that is not kept.
    let kept = until_answered("read a kept ingest", keeps).await;
    let is_kept = kept.map_or(true, |kept| kept.is_some());
    let end = forced_end(context, stored, reason, is_kept);
    let ended = until_answered("end a relay by force", || {
        context.store.end_by_force(end.clone())
    });
    if let Err(error) = ended.await {
        tracing::error!(relay_id = %stored.id, channel_id = stored.channel_id, %error, "failed to end a relay by force");
    }
}

fn forced_end(
    context: &NodeContext,
    stored: &StoredRelay,
    reason: &str,
    is_kept: bool,
) -> ForcedEnd {
    let now = context.clock.now();
    let backend = BackendName::new(stored.backend.as_str());
    let backend = context.vendors.egresses.get(&backend);
    let max_hours = backend.ok().and_then(EgressBackend::max_hours);
    let cleanup_jobs = cleanups_of(stored, is_kept)
        .into_iter()
        .map(|cleanup| CleanupJobRow {
            expires_at: expires(&cleanup, max_hours, now),
            ..CleanupJobRow::of(
                &cleanup,
                *stored.id,
                stored.channel_id,
                &stored.platform,
                now,
            )
        });
    let cost = cost(context, stored, now);
    let announced = [Announcement::Failed, Announcement::Ended]
        .into_iter()
        .skip(usize::from(stored.outcome.is_some()));
    // An unreadable state is kept for diagnosis.
    let durable = stored.durable().ok().map(|mut durable| {
        // A late recording's message is numbered after these.
        durable.announced += u32::try_from(announced.len()).unwrap_or_default();
        let detail = Detail {
            egress: Some(reason.to_owned()),
            ..Detail::default()
        };
        durable.outcome.get_or_insert(Outcome {
            code: OutcomeCode::Internal,
            detail,
        });
        durable.stopped_at.get_or_insert(now);
        durable.phase = Phase::Ended;
        durable.phase_since = now;
        durable.ended_at = Some(now);
        durable.cost = durable.cost.or(cost);
        durable
    });
    let outbox = announced.map(|kind| OutboxEntry {
        sequence: None,
        kind,
        body: json!({
            "type": kind.to_string(),
            "timestamp": WireTime(now),
            "data": { "relay": durable.as_ref().map(|durable| relay_json(durable, None, now)) },
        }),
        created_at: now,
    });
    ForcedEnd {
        relay_id: *stored.id,
        epoch: stored.epoch,
        at: now,
        outcome: OutcomeCode::Internal,
        state: durable.as_ref().map(JsonText::of),
        entry: JournalEntry {
            at: now,
            kind: records::ENDED_BY_FORCE.into(),
            phase: Phase::Ended.into(),
            data: json!({ "reason": reason }),
            actions: json!([]),
        },
        cleanup_jobs: cleanup_jobs.collect(),
        cost: cost.map(|cost| LedgerRow::of(stored, cost, now)),
        outbox: outbox.collect(),
        projection: durable.as_ref().map(Projection::of),
    }
}

/// When the backend itself ends an egress without a handle: perhaps no call can stop it.
fn expires(cleanup: &Cleanup, max_hours: Option<u32>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let hours = TimeDelta::hours(i64::from(max_hours?) + 1);
    matches!(cleanup, Cleanup::FindEgress(_)).then(|| now + hours)
}

fn cost(context: &NodeContext, row: &StoredRelay, now: DateTime<Utc>) -> Option<Cost> {
    let until = row.stopped_at.unwrap_or(now);
    let seconds = |from: DateTime<Utc>| u64::try_from((until - from).num_seconds()).unwrap_or(0);
    let of_settings = || Prices {
        stored: context
            .vendors
            .platforms
            .get(&row.platform)
            .map_or(0, |platform| platform.stored_micros()),
        egress: context.settings.pricing.agora_micros(),
    };
    let kept = row.durable().map(|durable| durable.spec.prices);
    let prices = kept.unwrap_or_else(|_| of_settings());
    let live = seconds(row.live_at?);
    let egress = row.started_at.map_or(0, seconds);
    Some(Cost::new(live, Source::Observed, egress, prices))
}

/// `is_kept`: its channel keeps the ingest, and the egress may still publish into it.
fn cleanups_of(stored: &StoredRelay, is_kept: bool) -> Vec<Cleanup> {
    let mut cleanups = Vec::new();
    if let Some(egress) = stored.egress_ref() {
        cleanups.push(match egress.handle {
            Some(_) => Cleanup::StopEgress(egress),
            None => Cleanup::FindEgress(egress),
        });
    }
    if let Some(id) = stored.ingest_id.clone() {
        cleanups.push(match is_kept {
            true => Cleanup::RenewIngestKey { id },
            false => Cleanup::RemoveIngest { id },
        });
    }
    cleanups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::view::fixture::live;

    #[test]
    fn only_an_egress_that_cannot_be_stopped_is_left_to_the_vendors_own_limit() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let egress = live().egress_ref().unwrap();
        let unknown = Cleanup::FindEgress(egress.clone());
        let known = Cleanup::StopEgress(egress);
        let input = Cleanup::RemoveIngest { id: "id".into() };
        let in_26_hours = Some(now + TimeDelta::hours(26));
        assert_eq!(expires(&unknown, Some(25), now), in_26_hours);
        assert_eq!(expires(&unknown, None, now), None);
        assert_eq!(expires(&known, Some(25), now), None);
        assert_eq!(expires(&input, Some(25), now), None);
    }
}
