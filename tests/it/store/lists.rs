//! Lists and their pages.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    pages_show_every_relay_once_newest_first,
    lists_can_be_of_one_channel_or_one_phase,
    a_journal_is_read_in_order_page_by_page,
    an_invalid_cursor_is_an_error,
    the_last_recording_of_a_channel_is_the_newest_that_is_ready,
    five_thousand_unfinished_relays_are_read_at_once,
);

async fn pages_show_every_relay_once_newest_first(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut expected = Vec::new();
    for n in 0..23 {
        let mut relay = row(n);
        // Some at the same time, some with fractions of a second.
        relay.requested_at = at(n / 3) + TimeDelta::microseconds((n % 2) * 876_544);
        expected.push(made(&store, relay, epoch).await);
    }
    expected.sort_by_key(|row| std::cmp::Reverse((row.requested_at, row.id)));
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .relays(&RelayFilter::default(), &page(5, cursor))
            .await
            .unwrap();
        assert!(page.items.len() <= 5);
        seen.extend(page.items);
        // A newer relay, added meanwhile, shifts nothing.
        let mut newer = row(100 + i64::try_from(seen.len()).unwrap());
        newer.requested_at = at(1000);
        made(&store, newer, epoch).await;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

async fn lists_can_be_of_one_channel_or_one_phase(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    for (channel, phase) in [(1, "ended"), (1, "ended"), (1, "live"), (2, "live")] {
        let mut relay = row(channel);
        relay.phase = phase.into();
        made(&store, relay, epoch).await;
    }
    let count = async |channel_id, phase: Option<&str>| {
        let phase = phase.map(|phase| phase.parse().unwrap());
        let filter = RelayFilter { channel_id, phase };
        store.relays(&filter, &page(3, None)).await.unwrap()
    };
    assert_eq!(count(Some(1), None).await.items.len(), 3);
    assert_eq!(count(Some(1), None).await.next_cursor, None);
    assert_eq!(count(None, Some("live")).await.items.len(), 2);
    assert_eq!(count(Some(1), Some("live")).await.items.len(), 1);
    assert_eq!(count(Some(3), None).await.items.len(), 0);
    assert_eq!(count(None, None).await.items.len(), 3);
    assert!(count(None, None).await.next_cursor.is_some());
}

async fn a_journal_is_read_in_order_page_by_page(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    save.journal = (2..=7).map(|n| entry(&format!("event{n}"))).collect();
    store.save(save).await.unwrap();
    let mut kinds = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.journal(*relay.id, &page(3, cursor)).await.unwrap();
        kinds.extend(page.items.into_iter().map(|one| (one.seq, one.entry.kind)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut expected = vec![(1, "start".to_owned())];
    expected.extend((2..=7).map(|n| (n, format!("event{n}"))));
    assert_eq!(kinds, expected);
}

async fn an_invalid_cursor_is_an_error(database: TestDatabase) {
    let store = database.store().await;
    let bad = page(5, Some("x' OR 1=1".into()));
    let relays = store.relays(&RelayFilter::default(), &bad).await;
    assert_eq!(relays, Err(StoreError::BadCursor));
    let journal = store.journal(Uuid::now_v7(), &bad).await;
    assert_eq!(journal, Err(StoreError::BadCursor));
}

async fn the_last_recording_of_a_channel_is_the_newest_that_is_ready(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    let mut newer = recording(&relay, "newer", "ready");
    newer.ready_at = Some(at(50));
    let pending = recording(&relay, "pending", "pending");
    let unplayable = RecordingRow {
        ready_at: Some(at(70)),
        hls_url: None,
        location: Some("s3://bucket/unplayable".into()),
        ..recording(&relay, "unplayable", "ready")
    };
    save.recordings = vec![
        unplayable,
        recording(&relay, "older", "ready"),
        newer.clone(),
        pending.clone(),
    ];
    store.save(save).await.unwrap();
    assert_eq!(store.last_ready_recording(1).await, Ok(Some(newer)));
    assert_eq!(store.last_ready_recording(2).await, Ok(None));
    // The same recording in another state.
    let ready = RecordingRow {
        state: "ready".into(),
        ready_at: Some(at(60)),
        duration_seconds: Some(99.0),
        ..pending
    };
    let mut save = next(relay, 2, epoch);
    save.recordings = vec![ready.clone()];
    store.save(save).await.unwrap();
    assert_eq!(store.last_ready_recording(1).await, Ok(Some(ready)));
}

async fn five_thousand_unfinished_relays_are_read_at_once(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let creates = (0..5000).map(|channel| {
        let mut relay = row(channel);
        relay.state = json!({ "durable": "x".repeat(2000) }).into();
        if channel % 500 == 7 {
            relay.phase = "ended".into();
            relay.ended_at = Some(at(9));
        }
        store.create(new(relay, epoch))
    });
    for answer in join_all(creates).await {
        assert_eq!(answer, Ok(Created::Created));
    }
    let begun = Instant::now();
    let unfinished = store.unfinished().await.unwrap();
    let took = begun.elapsed();
    assert_eq!(unfinished.len(), 4990);
    assert!(unfinished.is_sorted_by_key(|relay| relay.id));
    // Without optimisation, on two busy cores, it took 0.2 to 0.9 s.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Otherwise each read would sort all of them.
#[tokio::test]
async fn unfinished_relays_are_read_in_the_order_of_their_index() {
    let database = TestDatabase::sqlite();
    let _store = database.store().await;
    let raw = database.raw().await;
    let sql = "SELECT * FROM relays WHERE ended_at IS NULL AND id > 'a' ORDER BY id LIMIT 1000";
    let plan = raw.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await;
    let steps: Vec<String> = plan
        .iter()
        .map(|row| row.try_get("", "detail").unwrap())
        .collect();
    assert_eq!(
        steps,
        ["SEARCH relays USING INDEX relays_unfinished (id>?)"]
    );
}
