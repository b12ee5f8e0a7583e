//! Answered saves are on disk; only the owner writes; a repeated save is stored once.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    what_is_saved_is_what_is_read,
    of_a_batch_only_the_invalid_save_fails,
    a_save_whose_answer_was_lost_may_be_repeated,
    a_save_sent_twice_in_one_batch_is_stored_once,
    a_save_from_an_old_state_is_fenced,
    of_a_batch_only_the_conflicting_writes_are_skipped,
    a_fenced_process_writes_nothing,
    a_broken_connection_fails_the_batch_and_the_next_one_succeeds,
    a_closed_store_finishes_pending_writes_and_refuses_new_ones,
);

async fn what_is_saved_is_what_is_read(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut relay = made(&store, row(9_007_199_254_740_991), epoch).await;
    relay.phase = "ended".into();
    relay.relay_status = "stopped".into();
    relay.ingest_id = Some("input".into());
    relay.egress_id = Some("converter".into());
    relay.egress = Some(json!({ "tag": "tag", "handle": { "id": 1 } }).into());
    relay.outcome = Some("seller_left".into());
    relay.started_at = Some(at(1));
    relay.live_at = Some(at(2));
    relay.stopped_at = Some(at(3));
    relay.ended_at = Some(at(4));
    relay.state = json!({ "b": 1, "a": [1.5, null, "ü"] }).into();
    relay.state_version = 7;
    let mut save = next(relay.clone(), 1, epoch);
    save.journal.push(entry("ended"));
    save.cleanup_jobs
        .push(cleanup_job(&relay, "remove_ingest", "input"));
    save.recordings.push(recording(&relay, "video", "ready"));
    save.cost = Some(cost(&relay, at(4)));
    assert_eq!(store.save(save.clone()).await, Ok(Saved::Saved));

    let stored = store.relay(*relay.id).await.unwrap().unwrap();
    relay.revision = 3;
    assert_eq!(stored, relay);
    assert_eq!(store.newest_relay(relay.channel_id).await, Ok(Some(stored)));
    assert_eq!(store.recordings_of(*relay.id).await, Ok(save.recordings));
    let cost = save.cost.unwrap();
    let micros = database.raw().await;
    let micros = micros.number("SELECT cost_micros FROM stream_costs").await;
    assert_eq!(micros, cost.cost_micros);
    let cleanup_jobs = store.cleanup_jobs_of(*relay.id).await.unwrap();
    assert_eq!(cleanup_jobs[0], save.cleanup_jobs[0]);
    let journal = store.journal(*relay.id, &page(10, None)).await.unwrap();
    assert_eq!(journal.items[1].entry, save.journal[0]);
    assert_eq!(store.relay(Uuid::now_v7()).await, Ok(None));
}

async fn of_a_batch_only_the_invalid_save_fails(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let rows: Vec<_> = (0..300).map(row).collect();
    join_all(rows.iter().map(|row| store.create(new(row.clone(), epoch)))).await;
    let saves = rows.iter().map(|row| {
        let mut save = next(row.clone(), 1, epoch);
        save.row.phase = "live".into();
        // Number 1 exists: the database rejects it, as the last row of this save.
        let number = if row.channel_id == 137 { 1 } else { 2 };
        save.outbox.push(message(Some(number), "relay.live"));
        store.save(save)
    });
    let answers = join_all(saves).await;
    for (row, answer) in rows.iter().zip(answers) {
        let stored = store.relay(*row.id).await.unwrap().unwrap();
        if row.channel_id == 137 {
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
            assert_eq!(
                (stored.phase.as_str(), stored.revision),
                ("provisioning", 1)
            );
        } else {
            assert_eq!(answer, Ok(Saved::Saved));
            assert_eq!((stored.phase.as_str(), stored.revision), ("live", 2));
        }
    }
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 599);
}

/// In one commit, the second save finds the first one's journal.
async fn a_save_sent_twice_in_one_batch_is_stored_once(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relays = join_all((0..8).map(|number| made(&store, row(number), epoch))).await;
    let saves = relays.into_iter().flat_map(|relay| {
        let mut save = next(relay, 1, epoch);
        save.outbox.push(message(Some(2), "relay.live"));
        [store.save(save.clone()), store.save(save)]
    });
    for answer in join_all(saves).await {
        assert_eq!(answer, Ok(Saved::Saved));
    }
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 16);
}

async fn a_save_whose_answer_was_lost_may_be_repeated(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    // Finer than any database stores: the repeat is still recognised.
    save.journal[0].at = DateTime::from_timestamp(1_795_000_000, 123_456_789).unwrap();
    save.cleanup_jobs.push(cleanup_job(&relay, "stop", "sid"));
    save.outbox.push(message(Some(2), "relay.live"));
    save.cost = Some(cost(&relay, at(1)));
    for _ in 0..3 {
        assert_eq!(store.save(save.clone()).await, Ok(Saved::Saved));
    }
    let stored = store.relay(*relay.id).await.unwrap().unwrap();
    assert_eq!(stored.revision, 2);
    assert_eq!(store.cleanup_jobs_of(*relay.id).await.unwrap().len(), 1);
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 2);
    assert_eq!(raw.number("SELECT count(*) FROM outbox").await, 2);
}

async fn a_save_from_an_old_state_is_fenced(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    store.save(next(relay.clone(), 1, epoch)).await.unwrap();
    // The same revision with another journal.
    let mut other = next(relay.clone(), 1, epoch);
    other.journal[0].kind = "something_else".into();
    assert_eq!(store.save(other).await, Ok(Saved::Fenced));
    assert_eq!(
        store.save(next(relay.clone(), 0, epoch)).await,
        Ok(Saved::Fenced)
    );
    assert_eq!(
        store.save(next(relay.clone(), 5, epoch)).await,
        Ok(Saved::Fenced)
    );
    assert_eq!(
        store.save(next(row(1), 0, epoch)).await,
        Ok(Saved::Fenced),
        "a relay that was never created"
    );
    assert_eq!(store.relay(*relay.id).await.unwrap().unwrap().revision, 2);
}

/// In one commit: starts with a held slot or a used key, and saves from old states, among valid ones.
async fn of_a_batch_only_the_conflicting_writes_are_skipped(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relays = join_all((0..20).map(|number| made(&store, row(number), epoch))).await;
    let used = key("used", "hash", relays[0].id);
    store.remember_idempotency(used.clone()).await.unwrap();
    let saves = relays.iter().map(|relay| {
        let expected = if relay.channel_id == 7 { 5 } else { 1 };
        store.save(next(relay.clone(), expected, epoch))
    });
    let creates = (100..120).map(|channel| {
        let mut start = new(row(if channel == 103 { 3 } else { channel }), epoch);
        let name = if channel == 104 {
            "used".to_owned()
        } else {
            channel.to_string()
        };
        start.idempotency = Some(key(&name, "hash", start.row.id));
        store.create(start)
    });
    let (saved, created) = tokio::join!(join_all(saves), join_all(creates));
    for (number, answer) in saved.into_iter().enumerate() {
        let expected = if number == 7 {
            Saved::Fenced
        } else {
            Saved::Saved
        };
        assert_eq!(answer, Ok(expected), "{number}");
    }
    for (number, answer) in created.into_iter().enumerate() {
        match (number, answer.unwrap()) {
            (3, Created::SlotTaken(holder)) => assert_eq!(holder.id, relays[3].id),
            (4, Created::Replayed(known)) => assert_eq!(known, used),
            (_, answer) => assert_eq!(answer, Created::Created, "{number}"),
        }
    }
    assert_eq!(store.idempotency("103").await, Ok(None), "not used up");
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relays").await, 38);
    assert_eq!(
        raw.number("SELECT count(*) FROM relay_events").await,
        38 + 19
    );
    assert_eq!(raw.number("SELECT count(*) FROM channels").await, 38);
    assert_eq!(
        raw.number("SELECT count(*) FROM idempotency_keys").await,
        19
    );
}

async fn a_fenced_process_writes_nothing(database: TestDatabase) {
    let (old, new_owner) = (database.store().await, database.store().await);
    let first = old.take_epoch().await.unwrap();
    let relay = made(&old, row(1), first).await;
    let mut ended = row(2);
    ended.phase = "ended".into();
    ended.ended_at = Some(at(5));
    let ended = made(&old, ended, first).await;

    let second = new_owner.take_epoch().await.unwrap();
    assert_eq!(second, first + 1);
    assert_eq!(
        old.save(next(relay.clone(), 1, first)).await,
        Ok(Saved::Fenced)
    );
    assert_eq!(old.create(new(row(3), first)).await, Ok(Created::Fenced));
    let end = forced(&relay, first);
    assert_eq!(old.end_by_force(end).await, Ok(Saved::Fenced));
    let raw = database.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM relay_events").await, 2);

    assert_eq!(
        new_owner.save(next(relay, 1, second)).await,
        Ok(Saved::Saved)
    );
    let ended = old.relay(*ended.id).await.unwrap().unwrap();
    assert_eq!(ended.epoch, first, "what has ended has no owner to lose");
    assert_eq!(old.instance().await.unwrap().epoch, second);
}

async fn a_broken_connection_fails_the_batch_and_the_next_one_succeeds(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let rows: Vec<_> = (0..20).map(row).collect();
    join_all(rows.iter().map(|row| store.create(new(row.clone(), epoch)))).await;
    // Another client locks what the last save of the batch needs: the others have run when the connection breaks.
    let raw = database.raw().await;
    raw.execute("BEGIN").await;
    raw.execute("UPDATE relays SET ingest_id = 'eu' WHERE channel_id = 19")
        .await;
    let saves = join_all(
        rows.iter()
            .map(|row| store.save(next(row.clone(), 1, epoch))),
    );
    let (answers, ()) = tokio::join!(saves, break_the_writers_connection(&database));
    raw.execute("ROLLBACK").await;
    let lost = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::Unavailable(_))));
    assert!(lost.count() > 1, "{answers:?}");
    for (row, answer) in rows.iter().zip(&answers) {
        let stored = store.relay(*row.id).await.unwrap().unwrap();
        assert_eq!(stored.revision == 2, *answer == Ok(Saved::Saved));
    }
    for row in rows {
        assert_eq!(store.save(next(row, 1, epoch)).await, Ok(Saved::Saved));
    }
}

/// Once the writer waits. On SQLite it gives up by itself after five seconds.
async fn break_the_writers_connection(database: &TestDatabase) {
    if database.is_sqlite() {
        return;
    }
    let raw = database.raw().await;
    let waiting = "FROM pg_stat_activity WHERE datname = current_database() \
        AND application_name = 'relaykeeper' AND wait_event_type = 'Lock'";
    while raw.number(&format!("SELECT count(*) {waiting}")).await == 0 {
        tokio::task::yield_now().await;
    }
    raw.execute(&format!("SELECT pg_terminate_backend(pid) {waiting}"))
        .await;
}

async fn a_closed_store_finishes_pending_writes_and_refuses_new_ones(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let creates = join_all((0..50).map(|channel| store.create(new(row(channel), epoch))));
    let (answers, ()) = tokio::join!(creates, store.close());
    assert!(answers.iter().all(|answer| *answer == Ok(Created::Created)));
    let refused = store.create(new(row(99), epoch)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(database.open().await.unfinished().await.unwrap().len(), 50);
}

/// The sandbox and unit tests need no file.
#[tokio::test]
async fn a_database_in_memory_lives_as_long_as_its_store() {
    let settings = relaykeeper::config::DatabaseSettings {
        url: "sqlite::memory:".into(),
        ..Default::default()
    };
    let store = Store::connect(&settings).await.unwrap();
    store.migrate().await.unwrap();
    let epoch = store.take_epoch().await.unwrap();
    made(&store, row(1), epoch).await;
    assert_eq!(store.unfinished().await.unwrap().len(), 1);
}
