//! Ingests that channels keep: one holder at a time, and one row per channel and platform.

use relaykeeper::store::{
    CleanedUp, GivenUp, Holder, KeptIngestChange, KeptIngestClaim, KeptIngestOptions,
    KeptIngestRow, KeptIngestWrite, StoredRelay,
};

use super::*;
use crate::on_both_databases;

on_both_databases!(
    an_ingest_is_kept_claimed_used_and_released,
    one_of_two_claims_wins_and_may_be_repeated,
    the_claim_of_a_relay_that_has_ended_is_taken_over_with_a_stale_key,
    a_relay_writes_only_to_the_ingest_that_it_holds,
    the_cleanup_renews_the_key_of_an_ingest_that_nothing_holds,
    an_ingest_is_given_up_only_while_nothing_holds_it,
    pages_show_every_kept_ingest_once,
    the_relays_that_used_an_ingest_are_found_newest_first,
);

fn kept(channel_id: i64, ingest: &str, holder: Option<&StoredRelay>) -> KeptIngestRow {
    let options = KeptIngestOptions {
        latency: relaykeeper::relay::Latency::Normal,
        title: "show".into(),
        feed_timeout_seconds: 180,
        delete_recording_after_days: None,
    };
    KeptIngestRow {
        channel_id,
        platform: "cloudflare".into(),
        ingest_id: ingest.into(),
        tag: "tag".into(),
        hls_url: format!("https://customer.example/{ingest}.m3u8"),
        dash_url: None,
        options: serde_json::to_value(options).unwrap().into(),
        holder: holder.map(|relay| relay.id.to_string()),
        held_since: holder.map(|_| at(1)),
        key_stale: false,
        key_version: 0,
        reopen: false,
        quiet_since: None,
        last_sessions: json!([]).into(),
        created_at: at(1),
    }
}

fn change() -> KeptIngestChange {
    KeptIngestChange {
        key_stale: false,
        key_version: 0,
        reopen: false,
        last_sessions: json!([]).into(),
        options: None,
        released_at: None,
    }
}

fn release(at: DateTime<Utc>) -> KeptIngestWrite {
    KeptIngestWrite::Change(KeptIngestChange {
        released_at: Some(at),
        ..change()
    })
}

/// Stores a write with the relay's next save.
async fn write(store: &Store, relay: &mut StoredRelay, write: KeptIngestWrite) {
    let mut save = next(relay.clone(), relay.revision, relay.epoch);
    save.kept_ingest.push(write);
    assert_eq!(store.save(save).await, Ok(Saved::Saved));
    relay.revision += 1;
}

async fn keep(store: &Store, relay: &mut StoredRelay, ingest: &str) -> KeptIngestRow {
    let row = kept(relay.channel_id, ingest, Some(relay));
    let keep = KeptIngestWrite::Keep(Box::new(row.clone()));
    write(store, relay, keep).await;
    row
}

async fn end(store: &Store, relay: &mut StoredRelay) {
    relay.phase = "ended".into();
    relay.ended_at = Some(at(50));
    let save = next(relay.clone(), relay.revision, relay.epoch);
    assert_eq!(store.save(save).await, Ok(Saved::Saved));
    relay.revision += 1;
}

async fn claim(store: &Store, channel: i64, holder: Holder, seconds: i64) -> KeptIngestClaim {
    let claim = store.claim_kept_ingest(channel, "cloudflare", holder, at(seconds));
    claim.await.unwrap()
}

async fn an_ingest_is_kept_claimed_used_and_released(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut first = made(&store, row(1), epoch).await;
    let own = Holder::Relay(*first.id);
    assert_eq!(claim(&store, 1, own, 1).await, KeptIngestClaim::NothingKept);
    let created = keep(&store, &mut first, "input").await;
    assert_eq!(
        store.kept_ingest(1, "cloudflare").await,
        Ok(Some(created.clone()))
    );
    assert_eq!(created.relay_id(), Some(*first.id));
    assert_eq!(store.kept_ingest(1, "mux").await, Ok(None));
    let used = KeptIngestWrite::Change(KeptIngestChange {
        key_version: 3,
        reopen: true,
        last_sessions: json!(["session"]).into(),
        options: Some(json!({ "title": "other" }).into()),
        ..change()
    });
    write(&store, &mut first, used).await;
    let now = store.kept_ingest_with_id("cloudflare", "input").await;
    let now = now.unwrap().unwrap();
    assert_eq!((now.key_version, now.reopen), (3, true));
    assert_eq!(now.last_sessions.to_string(), r#"["session"]"#);
    assert_eq!(now.options.to_string(), r#"{"title":"other"}"#);
    assert_eq!(now.relay_id(), Some(*first.id));
    write(&store, &mut first, release(at(9))).await;
    let now = store.kept_ingest(1, "cloudflare").await.unwrap().unwrap();
    assert_eq!(
        (now.holder, now.held_since, now.quiet_since),
        (None, None, Some(at(9)))
    );

    end(&store, &mut first).await;
    let second = made(&store, row(1), epoch).await;
    let claimed = claim(&store, 1, Holder::Relay(*second.id), 20).await;
    let KeptIngestClaim::Claimed(claimed) = claimed else {
        panic!("{claimed:?}");
    };
    assert_eq!(claimed.relay_id(), Some(*second.id));
    assert_eq!(
        (claimed.held_since, claimed.quiet_since, claimed.key_stale),
        (Some(at(20)), Some(at(9)), false)
    );
    assert_eq!(store.kept_ingest_count().await, Ok(1));
    let mut second = second;
    let forget = KeptIngestWrite::Forget;
    write(&store, &mut second, forget).await;
    assert_eq!(store.kept_ingests_of(1).await, Ok(vec![]));
}

async fn one_of_two_claims_wins_and_may_be_repeated(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut maker = made(&store, row(1), epoch).await;
    keep(&store, &mut maker, "input").await;
    // The holder works.
    let other = Holder::Relay(Uuid::now_v7());
    assert_eq!(claim(&store, 1, other, 2).await, KeptIngestClaim::Held);
    let held = claim(&store, 1, Holder::Cleanup, 2).await;
    assert_eq!(held, KeptIngestClaim::Held);
    write(&store, &mut maker, release(at(3))).await;
    end(&store, &mut maker).await;

    let relays = [
        made(&store, row(2), epoch).await,
        made(&store, row(3), epoch).await,
    ];
    let claims = relays.iter().map(|relay| {
        let store = store.clone();
        let holder = Holder::Relay(*relay.id);
        async move { claim(&store, 1, holder, 4).await }
    });
    let claims = join_all(claims).await;
    let won = |claim: &KeptIngestClaim| matches!(claim, KeptIngestClaim::Claimed(_));
    assert_eq!(claims.iter().filter(|claim| won(claim)).count(), 1);
    let winner = claims.iter().position(won).unwrap();
    let again = claim(&store, 1, Holder::Relay(*relays[winner].id), 5).await;
    assert_eq!(again, claims[winner]);
}

async fn the_claim_of_a_relay_that_has_ended_is_taken_over_with_a_stale_key(
    database: TestDatabase,
) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut crashed = made(&store, row(1), epoch).await;
    keep(&store, &mut crashed, "input").await;
    end(&store, &mut crashed).await;
    let heir = made(&store, row(1), epoch).await;
    let holder = Holder::Relay(*heir.id);
    let taken = claim(&store, 1, holder, 60).await;
    let KeptIngestClaim::Claimed(taken) = &taken else {
        panic!("{taken:?}");
    };
    assert!(taken.key_stale);
    assert_eq!(taken.quiet_since, Some(at(60)));
    let stored = store.kept_ingest(1, "cloudflare").await.unwrap().unwrap();
    assert_eq!(&stored, taken.as_ref());

    // The database knows no such relay: it was restored from a backup.
    let mut lost = made(&store, row(2), epoch).await;
    let mut row = kept(2, "other", None);
    row.holder = Some(Uuid::now_v7().to_string());
    write(&store, &mut lost, KeptIngestWrite::Keep(Box::new(row))).await;
    let taken = claim(&store, 2, Holder::Cleanup, 61).await;
    let KeptIngestClaim::Claimed(taken) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(taken.holder.as_deref(), Some("cleanup"));
}

async fn a_relay_writes_only_to_the_ingest_that_it_holds(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut holder = made(&store, row(1), epoch).await;
    let created = keep(&store, &mut holder, "input").await;
    let mut other = made(&store, row(2), epoch).await;
    let forget = KeptIngestWrite::Forget;
    for foreign in [release(at(5)), forget] {
        write(&store, &mut other, foreign).await;
    }
    assert_eq!(
        store.kept_ingest(1, "cloudflare").await,
        Ok(Some(created.clone()))
    );
    // A channel keeps one at a platform: the first.
    let second = kept(1, "second", Some(&holder));
    write(&store, &mut holder, KeptIngestWrite::Keep(Box::new(second))).await;
    assert_eq!(store.kept_ingests_of(1).await, Ok(vec![created]));
    // A fenced save writes nothing.
    let mut late = next(holder.clone(), holder.revision, epoch - 1);
    late.kept_ingest.push(release(at(6)));
    assert_eq!(store.save(late).await, Ok(Saved::Fenced));
    let now = store.kept_ingest(1, "cloudflare").await.unwrap().unwrap();
    assert_eq!(now.relay_id(), Some(*holder.id));
}

async fn the_cleanup_renews_the_key_of_an_ingest_that_nothing_holds(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut relay = made(&store, row(1), epoch).await;
    let held = keep(&store, &mut relay, "input").await;
    let job = || cleanup_job(&relay, "close_stray", "input");
    assert_eq!(store.mark_key_stale(&held, at(4), job()).await, Ok(false));
    assert_eq!(store.cleanup_jobs_of(*relay.id).await, Ok(vec![]));
    let stray = job();
    write(&store, &mut relay, release(at(3))).await;
    let marked = store.mark_key_stale(&held, at(4), stray.clone()).await;
    assert_eq!(marked, Ok(true));
    assert_eq!(store.cleanup_jobs_of(*relay.id).await, Ok(vec![stray]));

    for (cleaned_up, stale, version) in [
        (CleanedUp::Nothing, true, 0),
        (CleanedUp::KeyRenewed, false, 1),
    ] {
        let claimed = claim(&store, 1, Holder::Cleanup, 5).await;
        let KeptIngestClaim::Claimed(row) = claimed else {
            panic!("{claimed:?}");
        };
        assert!(row.key_stale);
        let relay = Holder::Relay(*relay.id);
        assert_eq!(claim(&store, 1, relay, 5).await, KeptIngestClaim::Held);
        store.release_kept_ingest(&row, cleaned_up).await.unwrap();
        let now = store.kept_ingest(1, "cloudflare").await.unwrap().unwrap();
        assert_eq!(
            (now.holder, now.key_stale, now.key_version),
            (None, stale, version)
        );
    }
    // A relay's claim is not the cleanup's to release.
    let claimed = claim(&store, 1, Holder::Relay(*relay.id), 6).await;
    let KeptIngestClaim::Claimed(row) = claimed else {
        panic!("{claimed:?}");
    };
    store
        .release_kept_ingest(&row, CleanedUp::Gone)
        .await
        .unwrap();
    assert_eq!(store.kept_ingest(1, "cloudflare").await, Ok(Some(*row)));
    write(&store, &mut relay, release(at(7))).await;
    claim(&store, 1, Holder::Cleanup, 8).await;
    let gone = store.release_kept_ingest(&held, CleanedUp::Gone).await;
    gone.unwrap();
    assert_eq!(store.kept_ingests_of(1).await, Ok(vec![]));
}

async fn an_ingest_is_given_up_only_while_nothing_holds_it(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut relay = made(&store, row(1), epoch).await;
    let held = keep(&store, &mut relay, "input").await;
    let job = cleanup_job(&relay, "remove_ingest", "input");
    let give_up = || store.give_up_kept_ingest(&held, job.clone());
    assert_eq!(give_up().await, Ok(GivenUp::Held));
    assert_eq!(store.cleanup_jobs_of(*relay.id).await, Ok(vec![]));
    write(&store, &mut relay, release(at(3))).await;
    assert_eq!(give_up().await, Ok(GivenUp::GivenUp));
    assert_eq!(
        store.cleanup_jobs_of(*relay.id).await,
        Ok(vec![job.clone()])
    );
    assert_eq!(store.kept_ingests_of(1).await, Ok(vec![]));
    assert_eq!(give_up().await, Ok(GivenUp::NothingKept));
}

async fn pages_show_every_kept_ingest_once(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut relay = made(&store, row(1), epoch).await;
    let mut expected = Vec::new();
    for channel in [5, 1, 3, 9_007_199_254_740_991] {
        for platform in ["mux", "cloudflare"] {
            let row = KeptIngestRow {
                platform: platform.into(),
                ..kept(channel, &format!("{platform}{channel}"), None)
            };
            expected.push(row.clone());
            write(&store, &mut relay, KeptIngestWrite::Keep(Box::new(row))).await;
        }
    }
    expected.sort_by_key(|row| (row.channel_id, row.platform.clone()));
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let read = store.kept_ingests(&page(3, cursor)).await.unwrap();
        seen.extend(read.items);
        cursor = read.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    let bad = store.kept_ingests(&page(3, Some("AA".into()))).await;
    assert_eq!(bad, Err(StoreError::BadCursor));
}

async fn the_relays_that_used_an_ingest_are_found_newest_first(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut expected = Vec::new();
    for (number, ingest) in [(0, "input"), (1, "other"), (2, "input"), (3, "input")] {
        let mut relay = row(1);
        relay.requested_at = at(number);
        relay.phase = "ended".into();
        relay.ended_at = Some(at(number));
        relay.ingest_id = Some(ingest.into());
        let relay = made(&store, relay, epoch).await;
        if ingest == "input" {
            expected.push(relay);
        }
    }
    expected.reverse();
    let found = store.relays_with_ingest(1, "input", 2).await.unwrap();
    assert_eq!(found, expected[..2]);
}
