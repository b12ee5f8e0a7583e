//! Translates a step of the core to the rows that one transaction stores.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::{WireTime, relay_json};
use crate::relay::{
    self, Announcement, Backend, BackendKind, Cleanup, CleanupJob, Durable, Fact, Recording,
    RecordingState, Step,
};
use crate::store::{
    JournalEntry, LedgerRow, NewCleanupJob, OutboxEntry, Projection, RecordingRow, RelayRow, Save,
    StoredRelay,
};

/// The kind of a forced end's journal entry, which is no fact.
pub(super) const ENDED_BY_FORCE: &str = "ended_by_force";

const STATE_VERSION: i32 = 1;

/// A stored state that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the stored state of relay {relay_id} cannot be read: {reason}")]
pub struct Unreadable {
    /// The relay's id.
    pub relay_id: Uuid,
    /// The reason.
    pub reason: String,
}

/// The durable state of a stored relay, unless it has another version or is invalid.
pub fn durable(stored: &StoredRelay) -> Result<Durable, Unreadable> {
    let unreadable = |reason: String| Unreadable {
        relay_id: stored.row.id,
        reason,
    };
    if stored.row.state_version != STATE_VERSION {
        return Err(unreadable(format!(
            "it has version {}, this program reads {STATE_VERSION}",
            stored.row.state_version
        )));
    }
    serde_json::from_value(stored.row.state.clone()).map_err(|error| unreadable(error.to_string()))
}

/// `now` is the time by the relay's own clock, `wall` by the wall clock.
pub(super) fn save(
    durable: &Durable,
    step: &Step,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
    expected_revision: i64,
    epoch: i64,
) -> Save {
    Save {
        row: row(durable),
        expected_revision,
        epoch,
        journal: journal(durable, step, now),
        cleanup_jobs: step
            .cleanup_jobs()
            .map(|cleanup_job| new_cleanup_job(durable, cleanup_job, now, wall))
            .collect(),
        recordings: recordings(durable, step, now),
        cost: cost(durable, step),
        outbox: outbox(durable, step, now, wall),
        projection: Some(projection(durable)),
    }
}

pub(super) fn row(durable: &Durable) -> RelayRow {
    let spec = &durable.spec;
    let egress = durable.egress.as_ref();
    let (region, cname) = match &spec.backend {
        Backend::CloudRecording { .. } => {
            let cname = egress.map(|egress| spec.tag(egress.attempt).to_string());
            (None, cname)
        }
        Backend::MediaPush { region } => (Some(region.clone()), None),
    };
    RelayRow {
        id: spec.relay_id,
        channel_id: spec.channel_id,
        channel_name: spec.channel_name.clone(),
        seller_uid: i64::from(spec.seller_uid),
        phase: durable.phase.into(),
        relay_status: durable.relay_status().into(),
        backend: BackendKind::from(&spec.backend).into(),
        region,
        ingest_id: durable.ingest.uid.clone(),
        agora_resource_id: egress.and_then(|egress| egress.resource_id.clone()),
        agora_recording_cname: cname,
        agora_recording_uid: egress
            .and_then(|egress| durable.egress_uid(egress.attempt))
            .map(i64::from),
        agora_sid: egress.and_then(|egress| egress.sid.clone()),
        agora_converter_id: egress.and_then(|egress| egress.converter_id.clone()),
        outcome: durable.outcome.as_ref().map(|outcome| outcome.code.into()),
        requested_at: spec.requested_at,
        started_at: durable.started_at,
        live_at: durable.live_at,
        stopped_at: durable.stopped_at,
        ended_at: durable.ended_at,
        state: serde_json::to_value(durable).unwrap_or(Value::Null),
        state_version: STATE_VERSION,
    }
}

pub(super) fn projection(durable: &Durable) -> Projection {
    let row = row_ids(durable);
    Projection {
        channel_name: durable.spec.channel_name.clone(),
        stream_key_id: durable.ingest.uid.clone(),
        hls_playback_url: durable.ingest.hls_url.clone(),
        stream_recording_url: durable
            .main_recording()
            .and_then(|recording| recording.hls_url.clone()),
        agora_resource_id: row.0,
        agora_sid: row.1,
        agora_recording_uid: row.2,
        relay_status: durable.relay_status(),
        relay_started_at: durable.started_at,
    }
}

fn row_ids(durable: &Durable) -> (Option<String>, Option<String>, Option<i64>) {
    let Some(egress) = &durable.egress else {
        return (None, None, None);
    };
    let uid = durable.egress_uid(egress.attempt).map(i64::from);
    (egress.resource_id.clone(), egress.sid.clone(), uid)
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
    durable: &Durable,
    cleanup_job: &CleanupJob,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
) -> NewCleanupJob {
    let shift = wall - now;
    let (relay_id, channel_id) = (durable.spec.relay_id, durable.spec.channel_id);
    NewCleanupJob {
        next_attempt_at: cleanup_job.due + shift,
        expires_at: cleanup_job.expires.map(|at| at + shift),
        ..self::cleanup_job(&cleanup_job.cleanup, relay_id, channel_id, wall)
    }
}

pub(super) fn cleanup_job(
    cleanup: &Cleanup,
    relay_id: Uuid,
    channel_id: i64,
    at: DateTime<Utc>,
) -> NewCleanupJob {
    NewCleanupJob {
        id: Uuid::now_v7(),
        relay_id,
        channel_id,
        kind: cleanup.kind().into(),
        target: cleanup.target().to_owned(),
        data: serde_json::to_value(cleanup).unwrap_or_default(),
        created_at: at,
        next_attempt_at: at,
        expires_at: None,
    }
}

fn recordings(durable: &Durable, step: &Step, now: DateTime<Utc>) -> Vec<RecordingRow> {
    let named = |fact: &Fact, uid: &str| {
        let seen = matches!(fact, Fact::RecordingSeen { uid: seen } if seen == uid);
        seen || matches!(fact, Fact::Recording { recording } if recording.uid == uid)
    };
    let changed = |uid: &str| {
        step.facts.iter().any(|fact| named(fact, uid))
            || step
                .cleanup_jobs()
                .any(|cleanup_job| cleanup_job.cleanup.target() == uid)
    };
    let row = |recording: &Recording| RecordingRow {
        id: recording.uid.clone(),
        relay_id: durable.spec.relay_id,
        channel_id: durable.spec.channel_id,
        state: recording.state.into(),
        duration_seconds: recording.duration_ms.map(seconds),
        hls_url: recording.hls_url.clone(),
        dash_url: recording.dash_url.clone(),
        thumbnail_url: recording.thumbnail_url.clone(),
        created_at: now,
        ready_at: (recording.state == RecordingState::Ready).then_some(now),
    };
    durable
        .recordings
        .iter()
        .filter(|recording| changed(&recording.uid))
        .map(row)
        .collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a recording is at most 7 days: 2^30 ms"
)]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn cost(durable: &Durable, step: &Step) -> Option<LedgerRow> {
    let ended = step
        .facts
        .iter()
        .any(|fact| matches!(fact, Fact::Ended { .. }));
    let cost = durable.cost.filter(|_| ended)?;
    let ended_at = durable.ended_at.unwrap_or(durable.phase_since);
    Some(ledger(&row(durable), cost, ended_at))
}

pub(super) fn ledger(row: &RelayRow, cost: relay::Cost, created_at: DateTime<Utc>) -> LedgerRow {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    LedgerRow {
        relay_id: row.id,
        channel_id: row.channel_id,
        stream_key_id: row.ingest_id.clone(),
        duration_seconds: whole(cost.duration_seconds),
        cost_cents: whole(cost.cost_cents),
        cost_micros: whole(cost.cost_micros),
        agora_cost_micros: whole(cost.agora_cost_micros),
        source: cost.source.into(),
        created_at,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::actors::view::fixture::{at, live};

    #[test]
    fn a_cleanup_jobs_times_use_the_wall_clock_however_far_the_relays_own_clock_differs() {
        let now = at("10:00:00.000");
        let cleanup_job = CleanupJob {
            cleanup: Cleanup::DeleteRecording { uid: "uid".into() },
            due: now + TimeDelta::seconds(240),
            expires: Some(now + TimeDelta::hours(3)),
        };
        for hours in [-4, 0, 4] {
            let wall = now + TimeDelta::hours(hours);
            let stored = new_cleanup_job(&live(), &cleanup_job, now, wall);
            assert_eq!(stored.created_at, wall);
            assert_eq!(stored.next_attempt_at, wall + TimeDelta::seconds(240));
            assert_eq!(stored.expires_at, Some(wall + TimeDelta::hours(3)));
        }
    }
}
