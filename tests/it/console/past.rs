//! Seeds the store with two weeks of ended relays, or with thousands of live ones.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use relaykeeper::relay::{
    Durable, Egress, EgressHandle, EgressStage, IngestStage, Outcome, OutcomeCode, Phase,
};
use relaykeeper::store::{LedgerRow, Store};
use uuid::Uuid;

use crate::support::stored;

fn requested(channel_id: i64, database: &str, requested_at: DateTime<Utc>) -> Durable {
    let name = format!("show{channel_id}");
    stored::requested(Uuid::now_v7(), channel_id, &name, database, requested_at)
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
    stored::create(store, epoch, &relay).await;
    stored::save(store, epoch, &relay, (at, "ended"), |save| {
        save.cost = Some(LedgerRow {
            relay_id: relay.spec.relay_id.into(),
            channel_id: relay.spec.channel_id,
            platform: relay.spec.platform.to_string(),
            stream_key_id: None,
            duration_seconds: 2400,
            cost_cents: 20,
            cost_micros: 200_000 + number * 1_000,
            agora_cost_micros: 560_000,
            source: "recording".into(),
            created_at: at,
        });
    })
    .await;
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
        relay.ingest.id = Some(format!("{number:032x}"));
        relay.ingest.hls_url = Some("https://example.com/x/manifest/video.m3u8".into());
        relay.egress = Some(Egress {
            attempt: 1,
            stage: EgressStage::Running,
            preparation: None,
            earlier_preparations: Vec::new(),
            handle: Some(EgressHandle::of_id(
                "converter_id",
                format!("{number:032x}"),
            )),
            handle_is_guess: false,
            accepted_at: Some(since),
        });
        relay
    };
    let relays: Vec<Durable> = (0..count).map(one).collect();
    for some in relays.chunks(200) {
        join_all(some.iter().map(|relay| stored::create(store, epoch, relay))).await;
    }
}
