//! Translates a step of the core to the rows that one transaction stores.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::kept_ingests;
use super::view::{WireTime, relay_json};
use crate::relay::{
    Announcement, CleanupJob, CleanupKind, Durable, Fact, IngestOwner, Recording, Step,
};
use crate::store::{
    CleanupJobRow, JournalEntry, LedgerRow, OutboxEntry, Projection, RecordingRow, Save,
    StoredRelay,
};

/// The kind of a forced end's journal entry, which is no fact.
pub(super) const ENDED_BY_FORCE: &str = "ended_by_force";

/// What a step changes. `revision` is the one before it, `now` the time by the relay's own clock, `wall` by the wall
/// clock.
pub(super) fn save(
    durable: &Durable,
    step: &Step,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
    revision: i64,
    epoch: i64,
) -> Save {
    let row = StoredRelay::of(durable, epoch, revision);
    let is_kept = durable.spec.ingest_owner == IngestOwner::Channel;
    Save {
        journal: journal(durable, step, now),
        cleanup_jobs: step
            .cleanup_jobs()
            .map(|cleanup_job| new_cleanup_job(&row, cleanup_job, is_kept, now, wall))
            .collect(),
        recordings: recordings(durable, step, now),
        cost: cost(durable, step, &row),
        kept_ingest: kept_ingests::writes(durable, step, wall),
        outbox: outbox(durable, step, now, wall),
        projection: Some(Projection::of(durable)),
        row,
    }
}

/// The last fact's entry has the step's actions.
pub(super) fn journal(durable: &Durable, step: &Step, now: DateTime<Utc>) -> Vec<JournalEntry> {
    let last = step.facts.len().saturating_sub(1);
    let entry = |(place, fact): (usize, &Fact)| JournalEntry {
        at: now,
        kind: <&'static str>::from(fact).to_owned(),
        phase: durable.phase.into(),
        data: serde_json::to_value(fact).unwrap_or(Value::Null),
        actions: if place == last {
            serde_json::to_value(&step.actions).unwrap_or(Value::Null)
        } else {
            json!([])
        },
    };
    step.facts.iter().enumerate().map(entry).collect()
}

pub(super) fn outbox(
    durable: &Durable,
    step: &Step,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
) -> Vec<OutboxEntry> {
    let announced = step.announcements.iter();
    let entry = |(sequence, announcement): &(u32, Announcement)| OutboxEntry {
        sequence: Some(i64::from(*sequence)),
        kind: *announcement,
        body: json!({
            "type": announcement.to_string(),
            "timestamp": WireTime(wall),
            "data": { "sequence": sequence, "relay": relay_json(durable, None, now) },
        }),
        created_at: wall,
    };
    announced.map(entry).collect()
}

/// The job outlives the relay's clock, so its times use the wall clock.
fn new_cleanup_job(
    relay: &StoredRelay,
    cleanup_job: &CleanupJob,
    is_kept: bool,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
) -> CleanupJobRow {
    let shift = wall - now;
    let row = CleanupJobRow::of(
        &cleanup_job.cleanup,
        *relay.id,
        relay.channel_id,
        &relay.platform,
        wall,
    );
    CleanupJobRow {
        target: match is_kept && row.kind == CleanupKind::FindRecordings {
            // Each relay searches its own.
            true => format!("{}/{}", row.target, relay.id),
            false => row.target,
        },
        next_attempt_at: cleanup_job.due + shift,
        expires_at: cleanup_job.expires.map(|at| at + shift),
        ..row
    }
}

/// The recordings that the step changed.
fn recordings(durable: &Durable, step: &Step, now: DateTime<Utc>) -> Vec<RecordingRow> {
    let named = |fact: &Fact, id: &str| {
        let seen = matches!(fact, Fact::SessionSeen { session } if session.recording_id.as_deref() == Some(id));
        seen || matches!(fact, Fact::Recording { recording } if recording.id == id)
    };
    let changed = |recording: &&Recording| {
        let id = recording.id.as_str();
        step.facts.iter().any(|fact| named(fact, id))
            || step
                .cleanup_jobs()
                .any(|cleanup_job| cleanup_job.cleanup.target() == id)
    };
    let changed = durable.recordings.iter().filter(changed);
    changed
        .map(|recording| RecordingRow::of(recording, durable, now))
        .collect()
}

fn cost(durable: &Durable, step: &Step, row: &StoredRelay) -> Option<LedgerRow> {
    let ended = step
        .facts
        .iter()
        .any(|fact| matches!(fact, Fact::Ended { .. }));
    let cost = durable.cost.filter(|_| ended)?;
    let ended_at = durable.ended_at.unwrap_or(durable.phase_since);
    Some(LedgerRow::of(row, cost, ended_at))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::actors::view::fixture::{at, live};
    use crate::relay::Cleanup;

    #[test]
    fn a_cleanup_jobs_times_use_the_wall_clock_however_far_the_relays_own_clock_differs() {
        let now = at("10:00:00.000");
        let relay = StoredRelay::of(&live(), 1, 1);
        let cleanup_job = CleanupJob {
            cleanup: Cleanup::DeleteRecording { id: "id".into() },
            due: now + TimeDelta::seconds(240),
            expires: Some(now + TimeDelta::hours(3)),
        };
        for hours in [-4, 0, 4] {
            let wall = now + TimeDelta::hours(hours);
            let stored = new_cleanup_job(&relay, &cleanup_job, false, now, wall);
            assert_eq!(stored.created_at, wall);
            assert_eq!(stored.next_attempt_at, wall + TimeDelta::seconds(240));
            assert_eq!(stored.expires_at, Some(wall + TimeDelta::hours(3)));
        }
    }
}
