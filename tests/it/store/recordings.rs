//! A channel's last recording: cached, and never older than a commit.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    a_recording_shows_when_its_commit_is_answered,
    concurrent_reads_never_bring_back_an_older_recording,
    a_recording_of_another_process_shows_soon,
    recordings_of_two_platforms_may_have_one_id,
);

async fn a_recording_shows_when_its_commit_is_answered(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    assert_eq!(store.last_ready_recording(1).await, Ok(None));
    assert_eq!(store.last_ready_recording(2).await, Ok(None));
    let first = recording(&relay, "first", "ready");
    let mut save = next(relay.clone(), 1, epoch);
    save.recordings = vec![first.clone()];
    store.save(save).await.unwrap();
    assert_eq!(store.last_ready_recording(1).await, Ok(Some(first)));
    let late = RecordingRow {
        ready_at: Some(at(50)),
        ..recording(&relay, "late", "ready")
    };
    let mut save = next(relay.clone(), 2, epoch);
    save.recordings = vec![late.clone()];
    store.save(save).await.unwrap();
    assert_eq!(store.last_ready_recording(1).await, Ok(Some(late)));
    assert_eq!(store.last_ready_recording(2).await, Ok(None));
}

async fn concurrent_reads_never_bring_back_an_older_recording(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    store.last_ready_recording(1).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 0..100 {
        let newer = RecordingRow {
            ready_at: Some(at(100 + number)),
            ..recording(&relay, &format!("number {number}"), "ready")
        };
        let mut save = next(relay.clone(), number + 1, epoch);
        save.recordings = vec![newer.clone()];
        store.save(save).await.unwrap();
        assert_eq!(store.last_ready_recording(1).await, Ok(Some(newer)));
    }
    for reader in readers {
        reader.abort();
    }
}

async fn a_recording_of_another_process_shows_soon(database: TestDatabase) {
    let waits = database.store().await;
    let acts = database.open().await;
    let epoch = acts.take_epoch().await.unwrap();
    let relay = made(&acts, row(1), epoch).await;
    assert_eq!(waits.last_ready_recording(1).await, Ok(None));
    let theirs = recording(&relay, "theirs", "ready");
    let mut save = next(relay, 1, epoch);
    save.recordings = vec![theirs.clone()];
    acts.save(save).await.unwrap();
    let begun = Instant::now();
    while waits.last_ready_recording(1).await != Ok(Some(theirs.clone())) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it was never seen"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn recordings_of_two_platforms_may_have_one_id(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let one = made(&store, row(1), epoch).await;
    let elsewhere = StoredRelay {
        platform: "another".into(),
        ..row(2)
    };
    let other = made(&store, elsewhere, epoch).await;
    for (relay, location) in [(&one, None), (&other, Some("s3://bucket/id".to_owned()))] {
        let kept = RecordingRow {
            location,
            ..recording(relay, "id", "ready")
        };
        let mut save = next(relay.clone(), 1, epoch);
        save.recordings = vec![kept.clone()];
        save.cleanup_jobs = vec![cleanup_job(relay, "delete_recording", "id")];
        store.save(save).await.unwrap();
        assert_eq!(store.recordings_of(*relay.id).await, Ok(vec![kept]));
        let jobs = store.cleanup_jobs_of(*relay.id).await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
    }
    assert_eq!(store.recordings_of(*one.id).await.unwrap().len(), 1);
}
