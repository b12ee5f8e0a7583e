//! Recordings in the bucket.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use relaykeeper::platforms::{EnsuredIngest, Platform as _, RecordingsSearch};
use relaykeeper::relay::{Reconnect, Recording, RecordingState};
use relaykeeper::sandbox::{Options, VendorCall};
use relaykeeper::vendors::Class;

use super::support::IvsBench;
use crate::support::bench::{fast, permit};

async fn search(bench: &IvsBench, ingest: &EnsuredIngest) -> Vec<Recording> {
    let search = RecordingsSearch::Thorough(permit());
    bench.platform.recordings(&ingest.id, search).await.unwrap()
}

async fn recorded(bench: &IvsBench, ingest: &EnsuredIngest, count: usize) -> Vec<Recording> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = search(bench, ingest).await;
        let closed = |recording: &Recording| recording.state != RecordingState::Processing;
        if found.len() == count && found.iter().all(closed) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn broadcast(bench: &IvsBench, ingest: &EnsuredIngest) {
    let url = secrecy::ExposeSecret::expose_secret(&ingest.publish_url);
    let encoder = bench.publish_again(url).await;
    bench.until_live(ingest).await;
    bench.vendors.unpublish(encoder);
    bench.until_over(ingest).await;
}

#[tokio::test]
async fn a_recording_is_found_with_its_playlist_outlives_its_channel_and_is_deleted_whole() {
    let bench = IvsBench::start(fast());
    let (ingest, other) = (bench.create("tag-1").await, bench.create("tag-2").await);
    assert_eq!(search(&bench, &ingest).await, []);
    broadcast(&bench, &ingest).await;
    broadcast(&bench, &other).await;
    let [recording] = &recorded(&bench, &ingest, 1).await[..] else {
        panic!("not its recording alone");
    };
    assert!(recording.is_final && !recording.is_open(), "{recording:?}");
    let age = Utc::now() - recording.created_at.unwrap();
    assert!(age.num_seconds().abs() < 60, "{age}");
    let hls = recording.hls_url().unwrap();
    assert!(hls.starts_with(&bench.vendors.ivs_vod_base_url()), "{hls}");
    let played = reqwest::get(hls).await.unwrap();
    assert_eq!(played.status(), 200);
    assert!(played.text().await.unwrap().starts_with("#EXTM3U"));

    bench.platform.remove(permit(), &ingest.id).await.unwrap();
    assert_eq!(search(&bench, &ingest).await.len(), 1);
    for _ in 0..2 {
        let deleted = bench
            .platform
            .delete_recording(permit(), &recording.id)
            .await;
        deleted.unwrap();
    }
    assert_eq!(search(&bench, &ingest).await, []);
    assert_eq!(recorded(&bench, &other, 1).await.len(), 1);
    let above = recording.id.rsplit_once('/').unwrap().0;
    let refused = bench.platform.delete_recording(permit(), above).await;
    assert_eq!(refused.unwrap_err().class, Class::Rejected);
}

#[tokio::test]
async fn a_running_recording_is_neither_ready_nor_deleted_and_a_failed_one_says_so() {
    let bench = IvsBench::start(Options {
        ivs_recordings_fail: true,
        ..fast()
    });
    let ingest = bench.create("tag-1").await;
    let encoder = bench.publish(&ingest).unwrap();
    bench.until_live(&ingest).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while search(&bench, &ingest).await.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [running] = &search(&bench, &ingest).await[..] else {
        panic!("one");
    };
    assert_eq!(running.state, RecordingState::Processing);
    assert!(running.created_at.is_some() && running.place.is_none());
    // What IVS writes afterwards would be left.
    let refused = bench.platform.delete_recording(permit(), &running.id).await;
    assert_eq!(refused.unwrap_err().class, Class::Unavailable);
    assert_eq!(search(&bench, &ingest).await.len(), 1);
    bench.vendors.unpublish(encoder);
    let failed = recorded(&bench, &ingest, 1).await;
    assert_eq!(failed[0].state, RecordingState::Failed);
    let deleted = bench.platform.delete_recording(permit(), &running.id).await;
    deleted.unwrap();
    assert_eq!(search(&bench, &ingest).await, []);
}

#[tokio::test]
async fn what_comes_back_within_the_window_is_one_recording_and_the_window_is_known() {
    let bench = IvsBench::start(Options {
        ivs_recording_window_seconds: 120,
        ..fast()
    });
    let merged = |seconds| Reconnect::RecordingsMerged {
        longest: Duration::from_secs(seconds),
    };
    assert_eq!(bench.platform.capabilities().reconnect, Reconnect::Anew);
    bench.platform.check(permit()).await.unwrap();
    assert_eq!(bench.platform.capabilities().reconnect, merged(120));
    let ingest = bench.create("tag-1").await;
    broadcast(&bench, &ingest).await;
    broadcast(&bench, &ingest).await;
    assert_eq!(recorded(&bench, &ingest, 1).await.len(), 1);
}

#[tokio::test]
async fn earlier_shows_are_not_read_again() {
    let bench = IvsBench::start(fast());
    let ingest = bench.create("tag-1").await;
    broadcast(&bench, &ingest).await;
    recorded(&bench, &ingest, 1).await;
    let reads = bench.calls(VendorCall::S3Get);
    let since = Utc::now() + TimeDelta::days(2);
    let later = RecordingsSearch::Since(permit(), since);
    assert_eq!(
        bench.platform.recordings(&ingest.id, later).await.unwrap(),
        []
    );
    assert_eq!(bench.calls(VendorCall::S3Get), reads);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_read_needs_an_operator() {
    let bench = IvsBench::with(fast(), |ivs| ivs.recording_bucket = "another".into());
    let ingest = bench.create("tag-1").await;
    let search = RecordingsSearch::Thorough(permit());
    let refused = bench
        .platform
        .recordings(&ingest.id, search)
        .await
        .unwrap_err();
    assert!(
        matches!(refused.class, Class::Rejected | Class::Unauthorized),
        "{refused}"
    );
    let codes: Vec<_> = bench
        .platform
        .complaints()
        .iter()
        .map(|all| all.code)
        .collect();
    assert_eq!(codes, ["ivs-bucket-refuses"]);
    bench.platform.check_bucket().await.unwrap().unwrap_err();
}
