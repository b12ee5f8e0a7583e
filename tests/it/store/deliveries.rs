//! Deliveries to the marketplace.

use relaykeeper::store::{Attempt, AttemptResult, DeliveryFilter, DeliveryStatus};

use super::*;
use crate::on_both_databases;

on_both_databases!(
    the_first_pending_delivery_of_each_channel_is_due,
    a_given_up_message_disables_the_endpoint_until_one_is_delivered_or_redelivered,
    a_message_older_than_the_endpoint_can_be_redelivered,
    deliveries_are_listed_newest_first_and_purged_with_their_messages,
);

/// Two in each channel.
async fn with_messages(database: &TestDatabase, channels: &[i64]) -> Store {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    store.deliver_messages(true).await.unwrap();
    for channel in channels {
        let mut relay = new(row(*channel), epoch);
        relay.outbox.push(message(Some(2), "relay.live"));
        store.create(relay).await.unwrap();
    }
    store
}

async fn due(store: &Store, seconds: i64, busy: &[i64], limit: u64) -> Vec<i64> {
    let due = store
        .due_deliveries(at(seconds), busy.to_vec(), limit)
        .await
        .unwrap();
    due.iter().map(|one| one.id).collect()
}

async fn attempt(store: &Store, id: i64, result: AttemptResult) {
    let attempt = Attempt {
        id,
        at: at(50),
        response_status: Some(500),
        result,
    };
    store.record_attempt(attempt).await.unwrap();
}

fn again(seconds: i64) -> AttemptResult {
    AttemptResult::Again {
        at: at(seconds),
        error: "it answered 500".into(),
    }
}

fn given_up() -> AttemptResult {
    AttemptResult::GivenUp {
        error: "it answered 500".into(),
    }
}

async fn the_first_pending_delivery_of_each_channel_is_due(database: TestDatabase) {
    let store = with_messages(&database, &[7, 8]).await;
    assert_eq!(
        due(&store, 1, &[], 10).await,
        [0; 0],
        "messages came to be at 2"
    );
    assert_eq!(due(&store, 100, &[], 10).await, [1, 3]);
    assert_eq!(due(&store, 100, &[7], 10).await, [3]);
    assert_eq!(due(&store, 100, &[], 1).await, [1]);
    attempt(&store, 1, AttemptResult::Delivered).await;
    attempt(&store, 3, again(200)).await;
    assert_eq!(due(&store, 100, &[], 10).await, [2], "4 waits for 3");
    attempt(&store, 2, given_up()).await;
    assert_eq!(due(&store, 200, &[], 10).await, [3]);
    attempt(&store, 3, given_up()).await;
    let last = store.due_deliveries(at(200), vec![], 10).await.unwrap();
    assert_eq!((last[0].id, last[0].attempts), (4, 0));
    assert_eq!(last[0].give_up_at, at(2) + TimeDelta::days(3));
    assert_eq!(last[0].body, r#"{"channel_id":1}"#);
}

async fn a_given_up_message_disables_the_endpoint_until_one_is_delivered_or_redelivered(
    database: TestDatabase,
) {
    let store = with_messages(&database, &[7, 8]).await;
    attempt(&store, 1, again(60)).await;
    assert_eq!(store.endpoint_disabled().await, Ok(None));
    attempt(&store, 1, given_up()).await;
    attempt(&store, 3, given_up()).await;
    assert_eq!(store.endpoint_disabled().await, Ok(Some((at(50), 2))));
    attempt(&store, 2, AttemptResult::Delivered).await;
    assert_eq!(store.endpoint_disabled().await, Ok(None));
    attempt(&store, 4, given_up()).await;
    assert_eq!(store.redeliver(1, at(70)).await, Ok(true));
    assert_eq!(store.endpoint_disabled().await, Ok(None));
    let one = store.delivery(1).await.unwrap().unwrap();
    assert_eq!((one.status, one.attempts), (DeliveryStatus::Pending, 0));
    assert_eq!(one.next_attempt_at, Some(at(70)));
    assert_eq!(one.last_error.as_deref(), Some("it answered 500"));
    // Without an endpoint nothing is disabled.
    attempt(&store, 1, given_up()).await;
    store.deliver_messages(false).await.unwrap();
    assert_eq!(store.endpoint_disabled().await, Ok(None));
}

async fn a_message_older_than_the_endpoint_can_be_redelivered(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    made(&store, row(1), epoch).await;
    store.deliver_messages(true).await.unwrap();
    made(&store, row(2), epoch).await;
    assert_eq!(due(&store, 100, &[], 10).await, [2]);
    let mut changes = store.outbox_changes();
    changes.mark_unchanged();
    assert_eq!(store.redeliver(1, at(100)).await, Ok(true));
    assert!(changes.has_changed().unwrap(), "the dispatcher is notified");
    assert_eq!(due(&store, 100, &[], 10).await, [1, 2]);
    assert_eq!(store.redeliver(3, at(100)).await, Ok(false));
}

async fn deliveries_are_listed_newest_first_and_purged_with_their_messages(database: TestDatabase) {
    let store = with_messages(&database, &[7, 8]).await;
    attempt(&store, 1, AttemptResult::Delivered).await;
    let list = async |channel_id, status, limit, cursor| {
        let filter = DeliveryFilter { channel_id, status };
        let page = store
            .deliveries(filter, &page(limit, cursor))
            .await
            .unwrap();
        let ids: Vec<i64> = page.items.iter().map(|one| one.id).collect();
        (ids, page.next_cursor)
    };
    let (ids, cursor) = list(None, None, 3, None).await;
    assert_eq!(ids, [4, 3, 2]);
    assert_eq!(list(None, None, 3, cursor).await, (vec![1], None));
    assert_eq!(list(Some(7), None, 9, None).await, (vec![2, 1], None));
    let delivered = Some(DeliveryStatus::Delivered);
    assert_eq!(list(None, delivered, 9, None).await, (vec![1], None));
    let one = store.delivery(1).await.unwrap().unwrap();
    assert_eq!((one.sequence, one.kind.as_str()), (1, "relay.starting"));
    assert_eq!(
        (one.delivered_at, one.next_attempt_at),
        (Some(at(50)), None)
    );
    let purge = Purge {
        journal_before: at(0),
        idempotency_before: at(0),
        outbox_before: at(1000),
    };
    store.purge(purge).await.unwrap();
    let raw = database.raw().await;
    assert_eq!(
        raw.number("SELECT count(*) FROM webhook_deliveries").await,
        0
    );
}
