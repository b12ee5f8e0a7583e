//! A channel's slot is held by one relay, and a start is made once.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    two_simultaneous_starts_of_a_channel_give_one_relay,
    the_slot_is_free_once_its_holder_is_stopping,
    a_create_whose_answer_was_lost_is_not_made_twice,
    a_key_used_before_leads_to_its_relay_and_writes_nothing,
    a_key_that_met_a_taken_slot_is_not_used_up,
);

async fn two_simultaneous_starts_of_a_channel_give_one_relay(database: TestDatabase) {
    let (one, other) = (database.store().await, database.store().await);
    let epoch = one.take_epoch().await.unwrap();
    let creates = (0..40).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        store.create(new(row(42), epoch))
    });
    let answers = join_all(creates).await;
    let created = answers.iter().filter(|a| **a == Ok(Created::Created));
    assert_eq!(created.count(), 1);
    let holder = one.slot_holder(42).await.unwrap().unwrap();
    for answer in answers {
        match answer.unwrap() {
            Created::Created => {}
            Created::SlotTaken(taken) => assert_eq!(*taken, holder),
            other @ (Created::Replayed(_) | Created::Fenced) => panic!("{other:?}"),
        }
    }
    let all = one.relays(&RelayFilter::default(), &page(100, None)).await;
    assert_eq!(all.unwrap().items, [holder]);
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM outbox").await, 1);
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 1);
}

async fn the_slot_is_free_once_its_holder_is_stopping(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut first = made(&store, row(1), epoch).await;
    let second = new(row(1), epoch);
    let answer = store.create(second.clone()).await.unwrap();
    assert!(matches!(answer, Created::SlotTaken(_)), "{answer:?}");
    first.phase = "stopping".into();
    store.save(next(first, 1, epoch)).await.unwrap();
    assert_eq!(store.slot_holder(1).await, Ok(None));
    assert_eq!(store.create(second.clone()).await, Ok(Created::Created));
    let holder = store.slot_holder(1).await.unwrap().unwrap();
    assert_eq!(holder.id, second.row.id);
}

async fn a_create_whose_answer_was_lost_is_not_made_twice(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut relay = new(row(1), epoch);
    assert_eq!(store.create(relay.clone()).await, Ok(Created::Created));
    assert_eq!(store.create(relay.clone()).await, Ok(Created::Created));
    relay.row.channel_id = 2;
    relay.row.id = Uuid::now_v7().into();
    relay.idempotency = Some(key("k", "hash", relay.row.id));
    assert_eq!(store.create(relay.clone()).await, Ok(Created::Created));
    assert_eq!(store.create(relay).await, Ok(Created::Created));
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relays").await, 2);
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 2);
}

async fn a_key_used_before_leads_to_its_relay_and_writes_nothing(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut first = new(row(1), epoch);
    let record = key("k", "one", first.row.id);
    first.idempotency = Some(record.clone());
    store.create(first).await.unwrap();
    let mut second = new(row(2), epoch);
    second.idempotency = Some(key("k", "another body", second.row.id));
    assert_eq!(
        store.create(second).await,
        Ok(Created::Replayed(record.clone()))
    );
    assert_eq!(store.newest_relay(2).await, Ok(None));
    assert_eq!(store.idempotency("k").await, Ok(Some(record.clone())));
    // A stop with the same key gets the first use as well.
    let stop = key("k", "a stop", Uuid::now_v7());
    assert_eq!(store.remember_idempotency(stop).await, Ok(record));
    let stop = key("s", "a stop", Uuid::now_v7());
    assert_eq!(store.remember_idempotency(stop.clone()).await, Ok(stop));
}

async fn a_key_that_met_a_taken_slot_is_not_used_up(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    made(&store, row(1), epoch).await;
    let mut second = new(row(1), epoch);
    second.idempotency = Some(key("k", "h", second.row.id));
    let answer = store.create(second).await.unwrap();
    assert!(matches!(answer, Created::SlotTaken(_)), "{answer:?}");
    assert_eq!(store.idempotency("k").await, Ok(None));
}
