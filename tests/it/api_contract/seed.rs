//! Seeds two relays of channel 42: one that has ended with a late recording, and a requested one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::relay::{
    Backend, Durable, Namespace, Outcome, OutcomeCode, Phase, Prices, Spec, Timing,
};
use relaykeeper::store::{
    Created, JournalEntry, LedgerRow, NewRelay, Projection, RecordingRow, RelayRow, Save, Saved,
    Store,
};
use serde_json::json;

pub(crate) const LAST: &str = "0192f0c4-0000-7000-8000-000000000001";
pub(crate) const NEXT: &str = "0192f0c4-0000-7000-8000-000000000002";

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-22T{time}Z").parse().unwrap()
}

fn requested(id: &str, requested_at: DateTime<Utc>) -> Durable {
    let short = Duration::from_secs(5);
    Durable::new(Spec {
        relay_id: id.parse().unwrap(),
        namespace: Namespace {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show68".into(),
        seller_uid: 12345,
        enable_recording: true,
        delete_recording_after_days: Some(30),
        keep_ingest: false,
        backend: Backend::MediaPush {
            region: "na".into(),
        },
        timing: Timing {
            poll_interval: short,
            provisioning_timeout: short,
            live_timeout: short,
            live_check_interval: short,
            reconnect_window: short,
            feed_timeout: short,
            max_duration: short,
            recording_timeout: short,
            recordings_interval: short,
            query_interval: short,
            not_found_backoff: Vec::new(),
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
    RelayRow {
        id: relay.spec.relay_id,
        channel_id: 42,
        channel_name: "show68".into(),
        seller_uid: 12345,
        phase: relay.phase.to_string(),
        relay_status: "starting".into(),
        backend: "media_push".into(),
        region: None,
        ingest_id: None,
        agora_resource_id: None,
        agora_recording_cname: None,
        agora_recording_uid: None,
        agora_sid: None,
        agora_converter_id: None,
        outcome: relay.outcome.as_ref().map(|end| end.code.to_string()),
        requested_at: relay.spec.requested_at,
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
        phase: phase.to_string(),
        data: json!({"fact": kind}),
        actions: json!([]),
    }
}

async fn create(store: &Store, epoch: i64, relay: &Durable) {
    let at = relay.spec.requested_at;
    let created = store.create(NewRelay {
        row: row(relay),
        epoch,
        journal: vec![entry(at, "requested", Phase::Provisioning)],
        outbox: Vec::new(),
        projection: Projection {
            channel_name: "show68".into(),
            relay_status: "starting".into(),
            ..Projection::default()
        },
        idempotency: None,
    });
    assert_eq!(created.await.unwrap(), Created::Created);
}

pub(crate) async fn two_relays(store: &Store) {
    let epoch = store.take_epoch().await.unwrap();
    let mut last = requested(LAST, at("10:00:00"));
    create(store, epoch, &last).await;
    let end = at("10:40:00");
    last.phase = Phase::Ended;
    last.live_at = Some(at("10:09:30"));
    last.stopped_at = Some(end);
    last.ended_at = Some(end);
    last.outcome = Some(Outcome::plain(OutcomeCode::SellerLeft));
    let saved = store.save(Save {
        row: row(&last),
        expected_revision: 1,
        epoch,
        journal: vec![entry(end, "ended", Phase::Ended)],
        cleanup_jobs: Vec::new(),
        recordings: vec![RecordingRow {
            id: "late".into(),
            relay_id: last.spec.relay_id,
            channel_id: 42,
            state: "ready".into(),
            duration_seconds: Some(1829.5),
            hls_url: Some("https://host/late.m3u8".into()),
            dash_url: None,
            thumbnail_url: None,
            created_at: end,
            ready_at: Some(end),
        }],
        cost: Some(LedgerRow {
            relay_id: last.spec.relay_id,
            channel_id: 42,
            stream_key_id: None,
            duration_seconds: 1830,
            cost_cents: 16,
            cost_micros: 155_000,
            agora_cost_micros: 434_000,
            source: "recording".into(),
            created_at: end,
        }),
        outbox: Vec::new(),
        projection: None,
    });
    assert_eq!(saved.await.unwrap(), Saved::Saved);
    create(store, epoch, &requested(NEXT, at("11:00:00"))).await;
}

pub(crate) async fn next_is_live(store: &Store) {
    let epoch = store.instance().await.unwrap().epoch;
    let mut next = requested(NEXT, at("11:00:00"));
    next.phase = Phase::Live;
    next.live_at = Some(at("11:00:10"));
    next.ingest.hls_url = Some("https://host/input.m3u8".into());
    let saved = store.save(Save {
        row: row(&next),
        expected_revision: 1,
        epoch,
        journal: vec![entry(at("11:00:10"), "live", Phase::Live)],
        cleanup_jobs: Vec::new(),
        recordings: Vec::new(),
        cost: None,
        outbox: Vec::new(),
        projection: None,
    });
    assert_eq!(saved.await.unwrap(), Saved::Saved);
}
