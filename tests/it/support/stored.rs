//! Relays that are in the store without an actor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::platforms::cloudflare;
use relaykeeper::relay::{
    Backend, Durable, EgressCapabilities, EgressSpec, Namespace, Phase, PlatformName, Prices, Spec,
    Timing,
};
use relaykeeper::store::{
    Created, JournalEntry, NewRelay, Projection, Save, Saved, Store, StoredRelay,
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
        ingest_owner: relaykeeper::relay::IngestOwner::Relay,
        latency: relaykeeper::relay::Latency::Normal,
        platform: PlatformName::new("cloudflare"),
        capabilities: cloudflare::capabilities(),
        egress: EgressSpec {
            backend: Backend::new("media_push", &json!({"region": "na"})),
            capabilities: EgressCapabilities {
                prepare: None,
                updates: false,
                max_hours: None,
            },
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
        row: StoredRelay::of(relay, epoch, 0),
        journal: vec![entry(relay.spec.requested_at, "requested", relay.phase)],
        outbox: Vec::new(),
        projection: Projection::of(relay),
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
        row: StoredRelay::of(relay, epoch, 1),
        journal: vec![entry(at, kind, relay.phase)],
        cleanup_jobs: Vec::new(),
        recordings: Vec::new(),
        cost: None,
        kept_ingest: Vec::new(),
        outbox: Vec::new(),
        projection: None,
    };
    more(&mut save);
    assert_eq!(store.save(save).await.unwrap(), Saved::Saved);
}
