//! What is read of a broadcast.

use std::time::Duration;

use chrono::TimeDelta;
use relaykeeper::platforms::{FeedQuestion, Platform as _, RecordingsSearch};
use relaykeeper::relay::{FeedReading, RecordingState};
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use serde_json::json;
use wiremock::matchers::{path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{MuxBench, client};
use crate::support::bench::{fast, new, permit};

fn off_air() -> FeedReading {
    FeedReading {
        publishing: Some(false),
        watchable: Some(false),
        session: None,
    }
}

#[tokio::test]
async fn before_the_broadcast_the_playback_host_tells_and_no_call_of_the_api_is_made() {
    let bench = MuxBench::start(fast());
    let ingest = bench.create("tag-1").await;
    let before = bench.vendors.state().calls.len();
    assert_eq!(
        bench.observe(&ingest, FeedQuestion::Both).await,
        Some(off_air())
    );
    let early = bench.observe(&ingest, FeedQuestion::WatchableFirst).await;
    let early = early.unwrap();
    assert_eq!((early.publishing, early.watchable), (None, Some(false)));
    let calls = bench.vendors.state().calls;
    assert!(
        calls[before..]
            .iter()
            .all(|call| call.call == VendorCall::MuxManifest.name()),
        "{calls:#?}"
    );
}

/// `status` says nothing about the encoder until the window is over.
#[tokio::test]
async fn a_broadcast_is_watchable_with_its_asset_as_session_and_outlives_its_encoder_by_the_window()
{
    let bench = MuxBench::start(fast());
    let mut wanted = new("tag-1");
    wanted.feed_timeout_seconds = 60;
    let ingest = bench
        .platform
        .ensure_ingest(permit(), &wanted)
        .await
        .unwrap();
    let encoder = bench.publish(&ingest).unwrap();
    let on_air = bench
        .observed(&ingest, "on air", |reading| reading.watchable == Some(true))
        .await;
    assert_eq!(on_air.publishing, None);
    // Mux names the asset later.
    let named = bench
        .observed(&ingest, "named", |reading| reading.session.is_some())
        .await;
    let session = named.session.unwrap();
    assert_eq!(session.recording_id.as_ref(), Some(&session.id));

    bench.vendors.unpublish(encoder);
    let held = bench
        .observe(&ingest, FeedQuestion::Publishing)
        .await
        .unwrap();
    assert_eq!((held.publishing, held.watchable), (None, Some(true)));
    // A return within the window continues the asset.
    let encoder = bench.publish(&ingest).unwrap();
    bench.vendors.unpublish(encoder);
    bench
        .observed(&ingest, "over", |reading| *reading == off_air())
        .await;
    assert_eq!(bench.vendors.state().videos.len(), 1);

    bench.platform.remove(permit(), &ingest.id).await.unwrap();
    assert_eq!(bench.observe(&ingest, FeedQuestion::Both).await, None);
}

/// A publisher within the reconnect window would continue the recording.
#[tokio::test]
async fn a_broadcast_that_is_ended_is_not_continued_and_the_ingest_takes_publishers() {
    let bench = MuxBench::start(fast());
    let ingest = bench.create("tag-1").await;
    let mut settings = new("tag-1");
    settings.feed_timeout_seconds = 90;
    let end = async || {
        bench
            .platform
            .end_broadcast(permit(), &ingest.id, &settings)
            .await
    };
    assert_eq!(end().await.unwrap(), None, "there was no broadcast");
    let encoder = bench.publish(&ingest).unwrap();
    let named = bench
        .observed(&ingest, "named", |reading| reading.session.is_some())
        .await;
    bench.vendors.unpublish(encoder);
    let first = named.session.unwrap().id;
    assert_eq!(end().await.unwrap().as_ref(), Some(&first));
    assert_eq!(bench.raw(&ingest.id).await["reconnect_window"], 90);
    assert_eq!(
        bench.observe(&ingest, FeedQuestion::Both).await,
        Some(off_air())
    );
    bench.publish(&ingest).unwrap();
    let next = bench
        .observed(&ingest, "named", |reading| reading.session.is_some())
        .await;
    assert_ne!(next.session.unwrap().id, first);
    assert_eq!(bench.vendors.state().videos.len(), 2);

    // A publisher that hangs is thrown out, and a repeat from any point opens the ingest.
    for call in [VendorCall::MuxStreamDisable, VendorCall::MuxStreamEnable] {
        bench
            .vendors
            .fault(VendorFault::once(call, FaultKind::Status(503, None)));
        end().await.unwrap_err();
        end().await.unwrap();
        assert_eq!(bench.encoders(&ingest.id), 0);
        bench.publish(&ingest).unwrap();
    }
}

/// A kept ingest has the assets of every show.
#[tokio::test]
async fn a_search_since_a_time_does_not_read_older_pages() {
    let server = MockServer::start().await;
    let now = chrono::Utc::now();
    let page = |hours: i64, next: Option<&str>| {
        let created = (now - TimeDelta::hours(hours)).timestamp().to_string();
        let asset = json!({"id": format!("a{hours}"), "live_stream_id": "s1", "status": "ready", "duration": 9.5, "created_at": created});
        ResponseTemplate::new(200).set_body_json(json!({"data": [asset], "next_cursor": next}))
    };
    for (cursor, hours, next) in [("", 0, Some("c1")), ("c1", 9, Some("c2")), ("c2", 18, None)] {
        let list = Mock::given(path("/video/v1/assets")).and(query_param("live_stream_id", "s1"));
        let list = match cursor {
            "" => list.and(query_param_is_missing("cursor")),
            cursor => list.and(query_param("cursor", cursor)),
        };
        list.respond_with(page(hours, next)).mount(&server).await;
    }
    let mux = client(&server.uri(), &server.uri(), "id", "secret");
    let found = async |search| {
        let found = mux.recordings("s1", search).await.unwrap();
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let since = RecordingsSearch::Since(permit(), now - TimeDelta::hours(1));
    assert_eq!(found(since).await, ["a0"]);
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
    let all = RecordingsSearch::AfterRemoval(permit());
    assert_eq!(found(all).await, ["a0", "a9", "a18"]);
}

#[tokio::test]
async fn a_live_relay_is_polled_without_calls_of_the_api_once_its_session_is_known() {
    let bench = MuxBench::start(fast());
    let ingest = bench.create("tag-1").await;
    bench.publish(&ingest).unwrap();
    bench
        .observed(&ingest, "named", |reading| reading.session.is_some())
        .await;
    let before = bench.calls(VendorCall::MuxStreamGet);
    for _ in 0..20 {
        let reading = bench.observe(&ingest, FeedQuestion::Publishing).await;
        assert!(reading.unwrap().session.is_some());
    }
    assert_eq!(bench.calls(VendorCall::MuxStreamGet), before);
}

#[tokio::test]
async fn an_asset_is_ready_while_live_and_final_only_after_the_broadcast() {
    let bench = MuxBench::start(Options {
        recording_ready_after: Duration::from_secs(30),
        ..fast()
    });
    let ingest = bench.create("tag-1").await;
    bench.publish(&ingest).unwrap();
    bench.until_active(&ingest.id).await;
    let search = async || {
        let since = chrono::Utc::now();
        let search = RecordingsSearch::Shared { since };
        let found = bench.platform.recordings(&ingest.id, search).await.unwrap();
        let [recording] = &found[..] else {
            panic!("{found:?}");
        };
        recording.clone()
    };
    let live = search().await;
    assert_eq!((live.state, live.is_final), (RecordingState::Ready, false));
    assert_eq!(live.duration_ms, None);
    bench.platform.close(permit(), &ingest.id).await.unwrap();
    assert!(
        search().await.is_open(),
        "its broadcast is over, but it is not complete"
    );
    bench.vendors.hide_length(&live.id, true);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !search().await.is_final {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unknown = search().await;
    assert_eq!(unknown.duration_ms, None, "unknown is not zero");
    assert!(unknown.is_open());
    bench.vendors.hide_length(&live.id, false);
    let complete = search().await;
    assert!(complete.duration_ms.is_some_and(|length| length > 0));
    assert!(!complete.is_open());
    let url = complete.hls_url().unwrap();
    assert!(
        url.starts_with(&bench.vendors.mux_playback_base_url()),
        "{url}"
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}
