//! The projection to `channels`, in our table and in the marketplace's.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    the_newest_relay_owns_the_channels_row_and_an_older_one_only_adds_its_recording,
    a_foreign_channels_table_is_only_updated_whatever_its_types,
    a_channels_table_that_refuses_does_not_stop_the_relay,
    a_slot_that_changes_hands_within_a_commit_leaves_the_newer_relay_shown,
);

/// A row of `channels`, as another program reads it.
const SHOWN: &str = "SELECT concat_ws('|', id, relay_id, relay_status, coalesce(hls_playback_url, '-'), \
    coalesce(stream_recording_url, '-'), agora_recording_uid) FROM channels ORDER BY id";

async fn the_newest_relay_owns_the_channels_row_and_an_older_one_only_adds_its_recording(
    database: TestDatabase,
) {
    let store = database.store().await;
    let raw = database.raw().await;
    let epoch = store.take_epoch().await.unwrap();
    let row_shows = async |expected: String| {
        assert_eq!(raw.texts(SHOWN).await, [Some(expected)]);
    };
    let mut first = made(&store, row(1), epoch).await;
    row_shows(format!("1|{}|starting|-|-", first.id)).await;
    first.phase = "stopping".into();
    let mut save = next(first.clone(), 1, epoch);
    save.projection = Some(shown("stopped"));
    store.save(save).await.unwrap();
    let hls = "https://customer.example/input.m3u8";
    row_shows(format!("1|{}|stopped|{hls}|-|900000001", first.id)).await;

    let second = made(&store, row(1), epoch).await;
    row_shows(format!("1|{}|starting|-|-", second.id)).await;

    let mut late = next(first.clone(), 2, epoch);
    late.projection = Some(shown("failed"));
    store.save(late.clone()).await.unwrap();
    row_shows(format!("1|{}|starting|-|-", second.id)).await;
    late.row.revision = 3;
    late.projection = Some(Projection {
        stream_recording_url: Some("first".into()),
        ..shown("stopped")
    });
    store.save(late.clone()).await.unwrap();
    row_shows(format!("1|{}|starting|-|first", second.id)).await;

    let mut newer = next(second.clone(), 1, epoch);
    newer.projection = Some(Projection {
        stream_recording_url: Some("second".into()),
        ..shown("active")
    });
    store.save(newer).await.unwrap();
    late.row.revision = 4;
    store.save(late).await.unwrap();
    row_shows(format!("1|{}|active|{hls}|second|900000001", second.id)).await;
}

async fn a_foreign_channels_table_is_only_updated_whatever_its_types(database: TestDatabase) {
    let raw = database.raw().await;
    raw.execute(
        "CREATE TABLE channels (
            id integer PRIMARY KEY, title varchar(20) NOT NULL, relay_id varchar(64), relay_started_at timestamp,
            agora_recording_uid integer, stream_key_id varchar(40), relay_status varchar(10) NOT NULL DEFAULT 'off');
         INSERT INTO channels (id, title) VALUES (1, 'Hats'), (2, 'Shoes')",
    )
    .await;
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    save.projection = Some(shown("active"));
    store.save(save).await.unwrap();
    // A channel without a row in the marketplace's table.
    made(&store, row(3), epoch).await;
    let hls = "https://customer.example/input.m3u8";
    assert_eq!(
        raw.texts(SHOWN).await,
        [
            Some(format!("1|{}|active|{hls}|-|900000001", relay.id)),
            Some("2|off|-|-".into()),
        ]
    );
    assert_eq!(
        raw.texts("SELECT title FROM channels ORDER BY id").await,
        [Some("Hats".to_owned()), Some("Shoes".to_owned())]
    );
    let mut save = next(relay.clone(), 2, epoch);
    save.projection = Some(Projection {
        relay_status: RelayStatus::Stopped,
        ..Projection::default()
    });
    store.save(save).await.unwrap();
    assert_eq!(
        raw.number("SELECT count(*) FROM channels WHERE relay_status = 'stopped' AND relay_started_at IS NULL AND agora_recording_uid IS NULL")
            .await,
        1
    );
}

async fn a_channels_table_that_refuses_does_not_stop_the_relay(database: TestDatabase) {
    let raw = database.raw().await;
    raw.execute(
        "CREATE TABLE channels (id integer PRIMARY KEY, relay_status text CHECK (relay_status <> 'starting'), hls_playback_url text NOT NULL);
         INSERT INTO channels VALUES (1, 'off', 'none')",
    )
    .await;
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    save.projection = Some(shown("active"));
    save.cleanup_jobs.push(cleanup_job(&relay, "stop", "sid"));
    assert_eq!(store.save(save).await, Ok(Saved::Saved));
    assert_eq!(store.cleanup_jobs_of(*relay.id).await.unwrap().len(), 1);
    assert_eq!(
        raw.texts("SELECT relay_status FROM channels").await,
        [Some("off".to_owned())]
    );
    let raw_count = raw.number("SELECT count(*) FROM relay_events").await;
    assert_eq!(raw_count, 2, "nothing was written twice");
}

#[tokio::test]
async fn ids_in_sqlite_are_readable_text() {
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let raw = database.raw().await;
    let joined = "SELECT r.id FROM relays r JOIN channels c ON c.relay_id = r.id";
    assert_eq!(raw.texts(joined).await, [Some(relay.id.to_string())]);
}

/// In one commit: a relay frees the slot that the next one takes.
async fn a_slot_that_changes_hands_within_a_commit_leaves_the_newer_relay_shown(
    database: TestDatabase,
) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let old = join_all((0..8).map(|number| made(&store, row(number), epoch))).await;
    let recording = |channel: i64| format!("https://customer.example/{channel}.m3u8");
    let saves = old.iter().map(|relay| {
        let mut save = next(relay.clone(), 1, epoch);
        save.row.phase = "stopping".into();
        save.projection = Some(Projection {
            stream_recording_url: Some(recording(relay.channel_id)),
            ..shown("stopped")
        });
        store.save(save)
    });
    let new: Vec<_> = (0..8).map(|number| new(row(number), epoch)).collect();
    let creates = new.iter().map(|relay| store.create(relay.clone()));
    let (saved, created) = tokio::join!(join_all(saves), join_all(creates));
    assert!(saved.iter().all(|answer| *answer == Ok(Saved::Saved)));
    assert!(created.iter().all(|answer| *answer == Ok(Created::Created)));
    let raw = database.raw().await;
    let shown = "SELECT concat_ws('|', relay_id, relay_status) FROM channels ORDER BY id";
    let newer = new
        .iter()
        .map(|relay| Some(format!("{}|starting", relay.row.id)));
    assert_eq!(raw.texts(shown).await, newer.collect::<Vec<_>>());
}
