//! Seeds two relays of channel 42: one that has ended with a late recording, and a requested one.

use chrono::{DateTime, Utc};
use relaykeeper::relay::{Durable, Outcome, OutcomeCode, Phase};
use relaykeeper::store::{LedgerRow, RecordingRow, Store};

use crate::support::stored;

pub(crate) const LAST: &str = "0192f0c4-0000-7000-8000-000000000001";
pub(crate) const NEXT: &str = "0192f0c4-0000-7000-8000-000000000002";

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-22T{time}Z").parse().unwrap()
}

fn requested(id: &str, requested_at: DateTime<Utc>) -> Durable {
    stored::requested(id.parse().unwrap(), 42, "show68", "0a1b2c3d", requested_at)
}

pub(crate) async fn two_relays(store: &Store) {
    let epoch = store.take_epoch().await.unwrap();
    let mut last = requested(LAST, at("10:00:00"));
    stored::create(store, epoch, &last).await;
    let end = at("10:40:00");
    last.phase = Phase::Ended;
    last.live_at = Some(at("10:09:30"));
    last.stopped_at = Some(end);
    last.ended_at = Some(end);
    last.outcome = Some(Outcome::plain(OutcomeCode::SellerLeft));
    let id = last.spec.relay_id;
    stored::save(store, epoch, &last, (end, "ended"), |save| {
        save.recordings.push(RecordingRow {
            platform: "cloudflare".into(),
            id: "late".into(),
            relay_id: id.into(),
            channel_id: 42,
            state: "ready".into(),
            duration_seconds: Some(1829.5),
            hls_url: Some("https://host/late.m3u8".into()),
            dash_url: None,
            thumbnail_url: None,
            location: None,
            created_at: end,
            ready_at: Some(end),
        });
        save.cost = Some(LedgerRow {
            relay_id: id.into(),
            channel_id: 42,
            platform: "cloudflare".into(),
            stream_key_id: None,
            duration_seconds: 1830,
            cost_cents: 16,
            cost_micros: 155_000,
            agora_cost_micros: 434_000,
            source: "recording".into(),
            created_at: end,
        });
    })
    .await;
    stored::create(store, epoch, &requested(NEXT, at("11:00:00"))).await;
}

pub(crate) async fn next_is_live(store: &Store) {
    let epoch = store.instance().await.unwrap().epoch;
    let mut next = requested(NEXT, at("11:00:00"));
    next.phase = Phase::Live;
    next.live_at = Some(at("11:00:10"));
    next.ingest.hls_url = Some("https://host/input.m3u8".into());
    stored::save(store, epoch, &next, (at("11:00:10"), "live"), |_| {}).await;
}
