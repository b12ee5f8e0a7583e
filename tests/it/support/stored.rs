//! Relays that are in the store without an actor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::relay::{Backend, Durable, Namespace, Phase, Prices, Spec, Timing};
use relaykeeper::store::{
    Created, JournalEntry, NewRelay, Projection, RelayRow, Save, Saved, Store,
};
use serde_json::json;
use uuid::Uuid;

/// A relay as it was requested, with timers that do not run out in a test.
pub fn requested(
    id: Uuid,
    channel_id: i64,
    channel_name: &str,
    database: &str,
    requested_at: DateTime<Utc>,
) -> Durable {
    let hour = Duration::from_secs(3600);
    Durable::new(Spec {
        relay_id: id,
        namespace: Namespace {
            deployment: "tests".into(),
            database: database.into(),
        },
        channel_id,
        channel_name: channel_name.into(),
        seller_uid: 12345,
        enable_recording: true,
        delete_recording_after_days: Some(30),
        keep_ingest: false,
        backend: Backend::MediaPush {
            region: "na".into(),
        },
        timing: Timing {
            poll_interval: hour,
            provisioning_timeout: hour,
            live_timeout: hour,
            live_check_interval: hour,
            reconnect_window: hour,
            feed_timeout: hour,
            max_duration: 24 * hour,
            recording_timeout: hour,
            recordings_interval: hour,
            query_interval: hour,
            not_found_backoff: vec![hour],
        },
        prices: Prices {
            stored: 5_000_000,
            egress: 14_000_000,
        },
        requested_at,
        egress_not_before: None,
    })
}

fn row(relay: &Durable) -> RelayRow {
    let spec = &relay.spec;
    RelayRow {
        id: spec.relay_id,
        channel_id: spec.channel_id,
        channel_name: spec.channel_name.clone(),
        seller_uid: spec.seller_uid.into(),
        phase: relay.phase.into(),
        relay_status: relay.relay_status().into(),
        backend: "media_push".into(),
        region: Some("na".into()),
        ingest_id: relay.ingest.uid.clone(),
        agora_resource_id: None,
        agora_recording_cname: None,
        agora_recording_uid: None,
        agora_sid: None,
        agora_converter_id: None,
        outcome: relay.outcome.as_ref().map(|end| end.code.into()),
        requested_at: spec.requested_at,
        started_at: relay.started_at,
        live_at: relay.live_at,
        stopped_at: relay.stopped_at,
        ended_at: relay.ended_at,
        state: serde_json::to_value(relay).unwrap(),
        state_version: 1,
    }
}

fn entry(at: DateTime<Utc>, kind: &str, phase: Phase) -> JournalEntry {
    JournalEntry {
        at,
        kind: kind.to_owned(),
        phase: phase.into(),
        data: json!({"fact": kind}),
        actions: json!([]),
    }
}

pub async fn create(store: &Store, epoch: i64, relay: &Durable) {
    let created = store.create(NewRelay {
        row: row(relay),
        epoch,
        journal: vec![entry(relay.spec.requested_at, "requested", relay.phase)],
        outbox: Vec::new(),
        projection: Projection {
            channel_name: relay.spec.channel_name.clone(),
            relay_status: relay.relay_status(),
            ..Projection::default()
        },
        idempotency: None,
    });
    assert_eq!(created.await.unwrap(), Created::Created);
}

/// Saves a relay, the first time after [`create`], with one fact and what `more` adds.
pub async fn save(
    store: &Store,
    epoch: i64,
    relay: &Durable,
    (at, kind): (DateTime<Utc>, &str),
    more: impl FnOnce(&mut Save),
) {
    let mut save = Save {
        row: row(relay),
        expected_revision: 1,
        epoch,
        journal: vec![entry(at, kind, relay.phase)],
        cleanup_jobs: Vec::new(),
        recordings: Vec::new(),
        cost: None,
        outbox: Vec::new(),
        projection: None,
    };
    more(&mut save);
    assert_eq!(store.save(save).await.unwrap(), Saved::Saved);
}
