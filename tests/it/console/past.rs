//! Seeds the store with two weeks of ended relays, or with thousands of live ones.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use relaykeeper::relay::{
    Backend, Durable, Egress, EgressStage, IngestStage, Namespace, Outcome, OutcomeCode, Phase,
    Prices, Spec, Timing,
};
use relaykeeper::store::{
    Created, JournalEntry, LedgerRow, NewRelay, Projection, RelayRow, Save, Saved, Store,
};
use serde_json::json;
use uuid::Uuid;

fn requested(channel_id: i64, database: &str, requested_at: DateTime<Utc>) -> Durable {
    let hour = Duration::from_secs(3600);
    Durable::new(Spec {
        relay_id: Uuid::now_v7(),
        namespace: Namespace {
            deployment: "tests".into(),
            database: database.into(),
        },
        channel_id,
        channel_name: format!("show{channel_id}"),
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
        phase: relay.phase.to_string(),
        relay_status: "any".into(),
        backend: "media_push".into(),
        region: Some("na".into()),
        ingest_id: relay.ingest.uid.clone(),
        agora_resource_id: None,
        agora_recording_cname: None,
        agora_recording_uid: None,
        agora_sid: None,
        agora_converter_id: None,
        outcome: relay.outcome.as_ref().map(|end| end.code.to_string()),
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
        phase: phase.to_string(),
        data: json!({"fact": kind}),
        actions: json!([]),
    }
}

async fn create(store: &Store, epoch: i64, relay: &Durable) {
    let created = store.create(NewRelay {
        row: row(relay),
        epoch,
        journal: vec![entry(relay.spec.requested_at, "requested", relay.phase)],
        outbox: Vec::new(),
        projection: Projection {
            channel_name: relay.spec.channel_name.clone(),
            relay_status: "any".into(),
            ..Projection::default()
        },
        idempotency: None,
    });
    assert_eq!(created.await.unwrap(), Created::Created);
}

pub(crate) async fn two_weeks(store: &Store, today: DateTime<Utc>) {
    let epoch = store.take_epoch().await.unwrap();
    let shows = (1..14_i64).flat_map(|ago| (0..30 - ago).map(move |number| (ago, number)));
    let shows = shows.map(|(ago, number)| ended(store, epoch, today, ago, number));
    join_all(shows).await;
}

async fn ended(store: &Store, epoch: i64, today: DateTime<Utc>, ago: i64, number: i64) {
    let begin = today - TimeDelta::days(ago) - TimeDelta::seconds(number * 7);
    let mut relay = requested(100 + number % 9, "0a1b2c3d", begin);
    let outcome = match (ago + number) % 11 {
        0 => OutcomeCode::LiveTimeout,
        1 => OutcomeCode::VendorUnavailable,
        2..5 => OutcomeCode::SellerLeft,
        _ => OutcomeCode::StoppedByRequest,
    };
    relay.phase = Phase::Ended;
    relay.outcome = Some(Outcome::plain(outcome));
    let took = 3_000 + (number * 997 + ago * 331) % 4_000 + if number == 3 { 9_000 } else { 0 };
    relay.live_at = outcome
        .ended_well()
        .then(|| begin + TimeDelta::milliseconds(took));
    relay.ended_at = Some(begin + TimeDelta::minutes(40));
    relay.stopped_at = relay.ended_at;
    let at = relay.ended_at.unwrap();
    create(store, epoch, &relay).await;
    let saved = store.save(Save {
        row: row(&relay),
        expected_revision: 1,
        epoch,
        journal: vec![entry(at, "ended", Phase::Ended)],
        cleanup_jobs: Vec::new(),
        recordings: Vec::new(),
        cost: Some(LedgerRow {
            relay_id: relay.spec.relay_id,
            channel_id: relay.spec.channel_id,
            stream_key_id: None,
            duration_seconds: 2400,
            cost_cents: 20,
            cost_micros: 200_000 + number * 1_000,
            agora_cost_micros: 560_000,
            source: "recording".into(),
            created_at: at,
        }),
        outbox: Vec::new(),
        projection: None,
    });
    assert_eq!(saved.await.unwrap(), Saved::Saved);
}

/// `count` live relays, tagged with this database's id.
pub(crate) async fn live_ones(store: &Store, count: i64, now: DateTime<Utc>) {
    let instance = store.instance().await.unwrap();
    let epoch = store.take_epoch().await.unwrap();
    let one = |number: i64| {
        let since = now - TimeDelta::seconds(60 + number);
        let mut relay = requested(10_000 + number, &instance.database_id, since);
        relay.phase = Phase::Live;
        relay.phase_since = since;
        relay.started_at = Some(since);
        relay.live_at = Some(since);
        relay.ingest.stage = IngestStage::Ready;
        relay.ingest.uid = Some(format!("{number:032x}"));
        relay.ingest.hls_url = Some("https://example.com/x/manifest/video.m3u8".into());
        relay.egress = Some(Egress {
            attempt: 1,
            stage: EgressStage::Running,
            resource_id: None,
            acquired_at: None,
            earlier_resources: Vec::new(),
            sid: None,
            sid_is_guess: false,
            converter_id: Some(format!("{number:032x}")),
            accepted_at: Some(since),
        });
        relay
    };
    let relays: Vec<Durable> = (0..count).map(one).collect();
    for some in relays.chunks(200) {
        join_all(some.iter().map(|relay| create(store, epoch, relay))).await;
    }
}
