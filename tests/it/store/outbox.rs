//! The outbox's numbers follow the order of commits, so that no reader misses a message.

use std::collections::BTreeSet;

use super::*;
use crate::on_both_databases;

on_both_databases!(
    numbers_have_no_gaps_even_if_writes_fail,
    a_reader_misses_no_message_of_two_writing_processes,
    a_number_is_never_reused,
    a_message_without_a_sequence_gets_the_next,
);

async fn message_ids(store: &Store) -> Vec<i64> {
    let messages = store.outbox_after(0, None, 10_000).await.unwrap();
    messages.iter().map(|message| message.id).collect()
}

async fn numbers_have_no_gaps_even_if_writes_fail(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let writes = (0..100).map(|channel| {
        let mut relay = new(row(channel), epoch);
        if channel % 3 == 0 {
            // The second is rejected, and the first with it.
            relay.outbox.push(message(Some(1), "relay.live"));
        }
        store.create(relay)
    });
    let written = join_all(writes).await;
    assert_eq!(written.iter().filter(|answer| answer.is_err()).count(), 34);
    assert_eq!(message_ids(&store).await, (1..=66).collect::<Vec<_>>());
    assert_eq!(store.last_outbox_id().await, Ok(66));
}

async fn a_reader_misses_no_message_of_two_writing_processes(database: TestDatabase) {
    // Both have the same epoch: late recordings and the like are not fenced by it.
    let stores = [database.store().await, database.open().await];
    let epoch = stores[0].take_epoch().await.unwrap();
    const EACH: i64 = 150;
    let writing = stores
        .iter()
        .zip([0, 1000])
        .map(|(store, base)| async move {
            for channel in 0..EACH {
                let mut relay = new(row(base + channel), epoch);
                relay.outbox.push(message(Some(2), "relay.live"));
                while store.create(relay.clone()).await.is_err() {}
            }
        });
    let reading = async {
        let (mut last, mut seen) = (0, BTreeSet::new());
        while seen.len() < usize::try_from(EACH * 4).unwrap() {
            for message in stores[1].outbox_after(last, None, 50).await.unwrap() {
                assert_eq!(
                    message.id,
                    last + 1,
                    "one became visible before the one in front of it"
                );
                last = message.id;
                seen.insert(message.id);
            }
        }
    };
    let both = futures_util::future::join(join_all(writing), reading);
    tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("all of them");
}

async fn a_number_is_never_reused(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    made(&store, row(1), epoch).await;
    made(&store, row(2), epoch).await;
    let purge = Purge {
        journal_before: at(0),
        idempotency_before: at(0),
        outbox_before: at(1000),
    };
    store.purge(purge).await.unwrap();
    assert_eq!(message_ids(&store).await, [0; 0]);
    made(&store, row(3), epoch).await;
    assert_eq!(message_ids(&store).await, [3]);
}

async fn a_message_without_a_sequence_gets_the_next(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay, 1, epoch);
    let mut late = message(None, "relay.failed");
    late.body = json!({ "data": { "relay": null } });
    save.outbox = vec![late];
    store.save(save).await.unwrap();
    let messages = store.outbox_after(1, None, 10).await.unwrap();
    assert_eq!(messages[0].body, r#"{"data":{"relay":null,"sequence":2}}"#);
}
