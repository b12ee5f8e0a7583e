//! Writes messages of relays without an actor, as another process would.

use chrono::{DateTime, Utc};
use relaykeeper::relay::Announcement;
use relaykeeper::store::{
    Created, JournalEntry, NewRelay, OutboxEntry, Projection, Store, StoredRelay,
};
use serde_json::json;
use uuid::Uuid;

/// An ended relay with `count` messages, in one transaction. Returns its id.
pub async fn write(store: &Store, channel_id: i64, count: i64, at: DateTime<Utc>) -> Uuid {
    let id = Uuid::now_v7();
    let message = |sequence: i64| OutboxEntry {
        sequence: Some(sequence),
        kind: Announcement::Live,
        body: json!({
            "type": "relay.live",
            "timestamp": at,
            "data": { "sequence": sequence, "relay": { "id": id, "channel_id": channel_id, "filler": "x".repeat(1000) } },
        }),
        created_at: at,
    };
    let relay = NewRelay {
        row: StoredRelay {
            epoch: store.instance().await.expect("a database").epoch,
            ..ended(id, channel_id, at)
        },
        journal: vec![JournalEntry {
            at,
            kind: "requested".into(),
            phase: "ended".into(),
            data: json!({}),
            actions: json!([]),
        }],
        outbox: (1..=count).map(message).collect(),
        projection: Projection::default(),
        idempotency: None,
    };
    let created = store.create(relay).await.expect("it is written");
    assert_eq!(created, Created::Created);
    id
}

/// The row of an ended relay that reached no vendor.
pub fn ended(id: Uuid, channel_id: i64, at: DateTime<Utc>) -> StoredRelay {
    StoredRelay {
        id: id.into(),
        channel_id,
        channel_name: format!("show{channel_id}"),
        seller_uid: 1,
        phase: "ended".into(),
        relay_status: "stopped".into(),
        backend: "cloud_recording".into(),
        platform: "cloudflare".into(),
        ingest_id: None,
        egress_id: None,
        egress: None,
        outcome: Some("stopped_by_request".into()),
        requested_at: at,
        started_at: None,
        live_at: None,
        stopped_at: Some(at),
        ended_at: Some(at),
        state: json!({}).into(),
        state_version: 1,
        epoch: 0,
        revision: 0,
        stop_requested_at: None,
    }
}
