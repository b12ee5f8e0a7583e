//! Identity, alarms, forced ends, the outbox, retention.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    the_database_id_is_drawn_once,
    an_alarm_stands_until_it_is_cleared,
    an_unreadable_relay_is_listed_and_can_be_ended,
    messages_are_numbered_per_relay,
    a_purge_removes_what_is_older_than_its_limits,
);

async fn the_database_id_is_drawn_once(database: TestDatabase) {
    let store = database.store().await;
    let (one, other) = tokio::join!(store.instance(), store.instance());
    let drawn = one.unwrap();
    assert_eq!(other.unwrap(), drawn);
    assert_eq!(drawn.epoch, 0);
    assert_eq!(drawn.database_id.len(), 8);
    assert!(
        drawn
            .database_id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    );
    store.take_epoch().await.unwrap();
    store.close().await;
    let again = database.open().await.instance().await.unwrap();
    assert_eq!(again.database_id, drawn.database_id);
}

async fn an_alarm_stands_until_it_is_cleared(database: TestDatabase) {
    let store = database.store().await;
    let key = |subject: &str, node: &str| AlarmKey {
        code: "stray".into(),
        subject: subject.into(),
        node: node.into(),
    };
    for (subject, node, detail, when) in [
        ("a", "", "one", 1),
        ("a", "", "two", 9),
        ("", "", "all", 2),
        ("a", "host/7", "another's", 3),
    ] {
        let raised = store.raise_alarm(key(subject, node), detail, at(when));
        raised.await.unwrap();
    }
    let alarms = store.alarms().await.unwrap();
    assert_eq!(alarms.len(), 3);
    assert_eq!(
        (
            alarms[0].detail.as_str(),
            alarms[0].since,
            alarms[0].last_seen_at
        ),
        ("two", at(1), at(9))
    );
    store.clear_alarm(key("a", "")).await.unwrap();
    store.clear_alarm(key("a", "")).await.unwrap();
    let left = store.alarms().await.unwrap();
    let details: Vec<_> = left.iter().map(|alarm| alarm.detail.as_str()).collect();
    assert_eq!(details, ["all", "another's"]);
}

async fn an_unreadable_relay_is_listed_and_can_be_ended(database: TestDatabase) {
    let store = database.store().await;
    let raw = database.raw().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    made(&store, row(2), epoch).await;
    raw.execute(
        "UPDATE relays SET state = '{ torn', backend = 'carrier_pigeon' WHERE channel_id = 1",
    )
    .await;
    let unfinished = store.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert!(unfinished[0].durable().is_err());
    assert_eq!(unfinished[0].backend, "carrier_pigeon");
    assert_eq!(unfinished[0].channel_id, 1);

    let end = forced(&relay, epoch);
    assert_eq!(store.end_by_force(end.clone()).await, Ok(Saved::Saved));
    assert_eq!(store.end_by_force(end).await, Ok(Saved::Saved));
    let ended = store.relay(*relay.id).await.unwrap().unwrap();
    assert_eq!(ended.phase, Phase::Ended);
    assert_eq!(ended.relay_status, RelayStatus::Failed);
    assert_eq!(ended.outcome, Some(OutcomeCode::Internal.into()));
    assert_eq!(ended.stopped_at, Some(at(100)));
    assert_eq!(ended.ended_at, Some(at(100)));
    assert_eq!(ended.revision, 2);
    assert_eq!(store.cleanup_jobs_of(*relay.id).await.unwrap().len(), 1);
    assert_eq!(store.unfinished().await.unwrap().len(), 1);
    assert_eq!(
        raw.texts(
            "SELECT concat_ws('|', sequence, type) FROM outbox WHERE channel_id = 1 ORDER BY id"
        )
        .await,
        ["1|relay.starting", "2|relay.failed", "3|relay.ended"].map(|row| Some(row.to_owned()))
    );
    // If its actor is still alive, its saves are fenced.
    assert_eq!(store.save(next(relay, 1, epoch)).await, Ok(Saved::Fenced));
}

async fn messages_are_numbered_per_relay(database: TestDatabase) {
    let store = database.store().await;
    let raw = database.raw().await;
    let epoch = store.take_epoch().await.unwrap();
    for channel in [1, 2] {
        let relay = made(&store, row(channel), epoch).await;
        let mut save = next(relay, 1, epoch);
        save.outbox = vec![message(None, "relay.live"), message(None, "relay.stopped")];
        store.save(save).await.unwrap();
    }
    assert_eq!(
        raw.texts("SELECT concat_ws('|', channel_id, sequence, type) FROM outbox ORDER BY id")
            .await,
        [
            "1|1|relay.starting",
            "1|2|relay.live",
            "1|3|relay.stopped",
            "2|1|relay.starting",
            "2|2|relay.live",
            "2|3|relay.stopped",
        ]
        .map(|row| Some(row.to_owned()))
    );
}

async fn a_purge_removes_what_is_older_than_its_limits(database: TestDatabase) {
    let store = database.store().await;
    let raw = database.raw().await;
    let epoch = store.take_epoch().await.unwrap();
    let old = {
        let mut relay = row(1);
        relay.phase = "ended".into();
        relay.ended_at = Some(at(0));
        made(&store, relay, epoch).await
    };
    let running = made(&store, row(2), epoch).await;
    for (name, seconds) in [("old", 0), ("new", 100)] {
        let mut record = key(name, "h", old.id);
        record.created_at = at(seconds);
        store.remember_idempotency(record).await.unwrap();
    }
    let purge = Purge {
        journal_before: at(50),
        idempotency_before: at(50),
        outbox_before: at(1),
    };
    assert_eq!(store.purge(purge).await, Ok(2));
    assert_eq!(store.purge(purge).await, Ok(0));
    assert!(store.relay(*old.id).await.unwrap().is_some());
    let journal = async |id| store.journal(id, &page(9, None)).await.unwrap().items.len();
    assert_eq!((journal(*old.id).await, journal(*running.id).await), (0, 1));
    assert_eq!(store.idempotency("old").await, Ok(None));
    assert!(store.idempotency("new").await.unwrap().is_some());
    assert_eq!(raw.number("SELECT count(*) FROM outbox").await, 2);
    let later = Purge {
        outbox_before: at(3),
        ..purge
    };
    assert_eq!(store.purge(later).await, Ok(2));
}

#[tokio::test]
async fn no_error_contains_the_password() {
    for url in [
        "postgres://service:hunter2@127.0.0.1:1/x",
        "postgres://service:hunter2@127.0.0.1:port/x",
        "mysql://service:hunter2@127.0.0.1/x",
        "sqlite://x.db?mode=hunter2",
    ] {
        let settings = relaykeeper::config::DatabaseSettings {
            url: url.into(),
            ..Default::default()
        };
        let error = Store::connect(&settings).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
