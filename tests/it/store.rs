//! The promises of the store, on both databases.

mod channels;
mod deliveries;
mod fleet;
mod kept_ingests;
mod ledger;
mod lists;
mod lock;
mod notices;
mod outbox;
mod recordings;
mod saves;
mod slots;
mod upkeep;

use std::time::{Duration, Instant};

use crate::support::database::TestDatabase;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::future::join_all;
use relaykeeper::relay::{OutcomeCode, Phase, RelayStatus};
use relaykeeper::store::{
    AlarmKey, CleanupJobRow, CostGroup, CostSum, Created, DatabaseLock, ForcedEnd, GroupBy, HeldBy,
    Id, IdempotencyRecord, JournalEntry, LedgerRow, NewRelay, OutboxEntry, PageRequest, Projection,
    Purge, RecordingRow, RelayFilter, Save, Saved, Store, StoreError, StoredRelay,
};
use serde_json::json;
use uuid::Uuid;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + seconds, 123_456_000).unwrap()
}

fn row(channel_id: i64) -> StoredRelay {
    StoredRelay {
        id: Uuid::now_v7().into(),
        channel_id,
        channel_name: format!("show{channel_id}"),
        seller_uid: 4_294_967_295,
        phase: "provisioning".into(),
        relay_status: "starting".into(),
        backend: "cloud_recording".into(),
        platform: "cloudflare".into(),
        ingest_id: None,
        egress_id: None,
        egress: None,
        outcome: None,
        requested_at: at(0),
        started_at: None,
        live_at: None,
        stopped_at: None,
        ended_at: None,
        state: json!({ "phase": "provisioning" }).into(),
        state_version: 1,
        epoch: 0,
        revision: 0,
        stop_requested_at: None,
    }
}

fn entry(kind: &str) -> JournalEntry {
    JournalEntry {
        at: at(1),
        kind: kind.into(),
        phase: "provisioning".into(),
        data: json!({ "text": "käse & <b>", "n": 0.5 }),
        actions: json!([{ "id": 1 }]),
    }
}

fn message(sequence: Option<i64>, kind: &str) -> OutboxEntry {
    OutboxEntry {
        sequence,
        kind: kind.parse().unwrap(),
        body: json!({ "channel_id": 1 }),
        created_at: at(2),
    }
}

fn new(row: StoredRelay, epoch: i64) -> NewRelay {
    NewRelay {
        projection: Projection {
            channel_name: row.channel_name.clone(),
            relay_status: row.relay_status.known().unwrap(),
            ..Projection::default()
        },
        row: StoredRelay { epoch, ..row },
        journal: vec![entry("start")],
        outbox: vec![message(Some(1), "relay.starting")],
        idempotency: None,
    }
}

/// The state after `expected_revision`.
fn next(row: StoredRelay, expected_revision: i64, epoch: i64) -> Save {
    Save {
        row: StoredRelay {
            epoch,
            revision: expected_revision,
            ..row
        },
        journal: vec![entry("moved_on")],
        cleanup_jobs: vec![],
        recordings: vec![],
        cost: None,
        kept_ingest: vec![],
        outbox: vec![],
        projection: None,
    }
}

fn cleanup_job(relay: &StoredRelay, kind: &str, target: &str) -> CleanupJobRow {
    CleanupJobRow {
        id: Uuid::now_v7().into(),
        relay_id: relay.id,
        channel_id: relay.channel_id,
        platform: relay.platform.clone(),
        kind: kind.into(),
        target: target.into(),
        data: json!({ "region": "na" }).into(),
        created_at: at(10),
        next_attempt_at: at(20),
        expires_at: Some(at(1000)),
        attempts: 0,
        last_error: None,
    }
}

fn recording(relay: &StoredRelay, id: &str, state: &str) -> RecordingRow {
    RecordingRow {
        platform: relay.platform.clone(),
        id: id.into(),
        relay_id: relay.id,
        channel_id: relay.channel_id,
        state: state.into(),
        duration_seconds: Some(12.75),
        hls_url: Some(format!("https://customer.example/{id}.m3u8")),
        dash_url: None,
        thumbnail_url: None,
        location: None,
        created_at: at(30),
        ready_at: (state == "ready").then(|| at(40)),
    }
}

fn cost(relay: &StoredRelay, created_at: DateTime<Utc>) -> LedgerRow {
    LedgerRow {
        relay_id: relay.id,
        channel_id: relay.channel_id,
        platform: relay.platform.clone(),
        stream_key_id: Some("input".into()),
        duration_seconds: 1830,
        cost_cents: 16,
        cost_micros: 155_000,
        agora_cost_micros: 434_000,
        source: "recording".into(),
        created_at,
    }
}

fn page(limit: u32, cursor: Option<String>) -> PageRequest {
    PageRequest { limit, cursor }
}

async fn made(store: &Store, row: StoredRelay, epoch: i64) -> StoredRelay {
    assert_eq!(
        store.create(new(row.clone(), epoch)).await,
        Ok(Created::Created)
    );
    StoredRelay {
        epoch,
        revision: 1,
        ..row
    }
}

fn key(key: &str, hash: &str, relay_id: impl Into<Id>) -> IdempotencyRecord {
    IdempotencyRecord {
        key: key.into(),
        request_hash: hash.into(),
        relay_id: relay_id.into(),
        created_at: at(0),
    }
}

fn shown(status: &str) -> Projection {
    Projection {
        channel_name: "show1".into(),
        stream_key_id: Some("input".into()),
        hls_playback_url: Some("https://customer.example/input.m3u8".into()),
        stream_recording_url: None,
        agora_resource_id: Some("resource".into()),
        agora_sid: Some("sid".into()),
        agora_recording_uid: Some(900_000_001),
        relay_status: status.parse().unwrap(),
        relay_started_at: Some(at(3)),
    }
}

fn forced(relay: &StoredRelay, epoch: i64) -> ForcedEnd {
    ForcedEnd {
        relay_id: *relay.id,
        epoch,
        at: at(100),
        outcome: OutcomeCode::Internal,
        state: None,
        entry: entry("ended_by_force"),
        cleanup_jobs: vec![cleanup_job(relay, "remove_ingest", "input")],
        cost: None,
        outbox: vec![message(None, "relay.failed"), message(None, "relay.ended")],
        projection: Some(shown("failed")),
    }
}
