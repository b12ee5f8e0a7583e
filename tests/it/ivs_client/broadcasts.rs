//! What is read of a broadcast.

use std::time::Duration;

use relaykeeper::platforms::{FeedQuestion, Platform as _};
use relaykeeper::relay::FeedReading;
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use serde_json::json;
use wiremock::matchers::{body_partial_json, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{IvsBench, client};
use crate::support::bench::{fast, new, permit};

fn off_air() -> FeedReading {
    FeedReading {
        publishing: Some(false),
        watchable: Some(false),
        session: None,
    }
}

#[tokio::test]
async fn a_broadcast_is_in_the_list_and_is_probed_only_until_it_is_live() {
    let bench = IvsBench::start(fast());
    let ingest = bench.create("tag-1").await;
    assert_eq!(
        bench.observe(&ingest, FeedQuestion::Both).await,
        Some(off_air())
    );
    let early = bench.observe(&ingest, FeedQuestion::WatchableFirst).await;
    let early = early.unwrap();
    assert_eq!((early.publishing, early.watchable), (None, Some(false)));
    assert_eq!(bench.calls(VendorCall::IvsManifest), 0);
    let encoder = bench.publish(&ingest).unwrap();
    let first = bench.until_live(&ingest).await;
    assert_ne!(bench.calls(VendorCall::IvsManifest), 0);
    let probes = bench.calls(VendorCall::IvsManifest);
    let live = bench.observe(&ingest, FeedQuestion::Publishing).await;
    let live = live.unwrap();
    assert_eq!((live.publishing, live.watchable), (Some(true), None));
    assert_eq!(live.session.unwrap().id, first);
    assert_eq!(bench.calls(VendorCall::IvsManifest), probes);

    bench.vendors.unpublish(encoder);
    bench.until_over(&ingest).await;
    // Each connection is another broadcast.
    bench
        .publish_again(secrecy::ExposeSecret::expose_secret(&ingest.publish_url))
        .await;
    assert_ne!(bench.until_live(&ingest).await, first);
}

#[tokio::test]
async fn one_list_serves_all_relays_and_so_does_its_failure() {
    let bench = IvsBench::with(fast(), |ivs| ivs.requests_per_second = 1);
    let ingest = bench.create("tag-1").await;
    let polls = || async {
        let polls = (0..200).map(|_| {
            bench.platform.observe(
                permit(),
                relaykeeper::platforms::WatchedIngest {
                    id: &ingest.id,
                    hls_url: None,
                },
                FeedQuestion::Publishing,
            )
        });
        futures_util::future::join_all(polls).await
    };
    let all = polls().await;
    assert!(all.into_iter().all(|one| one.unwrap() == Some(off_air())));
    assert_eq!(bench.calls(VendorCall::IvsStreamList), 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let fault = VendorFault::once(VendorCall::IvsStreamList, FaultKind::Status(503, None));
    bench.vendors.fault(fault);
    let failed = polls().await;
    assert!(failed.into_iter().all(|one| one.is_err()));
    assert_eq!(bench.calls(VendorCall::IvsStreamList), 2);
}

#[tokio::test]
async fn a_list_from_before_a_stop_does_not_count_after_it() {
    let bench = IvsBench::with(
        Options {
            ivs_ends_after: Duration::ZERO,
            ..fast()
        },
        |ivs| ivs.requests_per_second = 2,
    );
    let ingest = bench.create("tag-1").await;
    bench.publish(&ingest).unwrap();
    bench.until_live(&ingest).await;
    bench.platform.close(permit(), &ingest.id).await.unwrap();
    let lists = bench.calls(VendorCall::IvsStreamList);
    bench.observe(&ingest, FeedQuestion::Publishing).await;
    assert_eq!(bench.calls(VendorCall::IvsStreamList), lists + 1);
}

#[tokio::test]
async fn a_broadcast_that_is_ended_is_told_and_the_ingest_takes_publishers_with_the_same_key() {
    let bench = IvsBench::start(fast());
    let ingest = bench.create("tag-1").await;
    let end = async || {
        bench
            .platform
            .end_broadcast(permit(), &ingest.id, &new("tag-1"))
            .await
    };
    assert_eq!(end().await.unwrap(), None, "there was no broadcast");
    bench.publish(&ingest).unwrap();
    let first = bench.until_live(&ingest).await;
    assert_eq!(end().await.unwrap().as_ref(), Some(&first));
    assert_eq!(bench.encoders(&ingest.id), 0);
    bench.until_over(&ingest).await;
    bench
        .publish_again(secrecy::ExposeSecret::expose_secret(&ingest.publish_url))
        .await;
    assert_ne!(bench.until_live(&ingest).await, first);

    // A channel whose key was deleted takes publishers again.
    bench.platform.close(permit(), &ingest.id).await.unwrap();
    end().await.unwrap();
    let read = bench
        .platform
        .read_ingest(permit(), &ingest.id)
        .await
        .unwrap();
    assert!(!read.is_closed);
    bench.platform.remove(permit(), &ingest.id).await.ok();
}

#[tokio::test]
async fn a_channel_that_is_gone_is_told_although_no_list_shows_it() {
    let server = MockServer::start().await;
    let not_found = ResponseTemplate::new(404)
        .insert_header("x-amzn-ErrorType", "ResourceNotFoundException:")
        .set_body_json(json!({"exceptionMessage": "gone"}));
    Mock::given(path("/ListStreams"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"streams": []})))
        .mount(&server)
        .await;
    Mock::given(path("/GetStream"))
        .respond_with(not_found)
        .mount(&server)
        .await;
    let ivs = client(|ivs| ivs.api_base_url = server.uri());
    let watched = relaykeeper::platforms::WatchedIngest {
        id: "arn:aws:ivs:eu-west-1:1:channel/a",
        hls_url: None,
    };
    let observe = || ivs.observe(permit(), watched, FeedQuestion::Publishing);
    // What is new may not be found everywhere yet.
    assert_eq!(observe().await.unwrap(), Some(off_air()));
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while observe().await.unwrap().is_some() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn all_pages_of_the_list_are_read_with_their_viewers() {
    let server = MockServer::start().await;
    let stream = |channel: &str, viewers: i64| {
        json!({"channelArn": channel, "streamId": format!("st-{channel}"), "state": "LIVE",
            "viewerCount": viewers})
    };
    let first = json!({"streams": [stream("a", 7), 5], "nextToken": "next"});
    let second = json!({"streams": [stream("b", -1)]});
    Mock::given(path("/ListStreams"))
        .and(body_partial_json(json!({"nextToken": "next"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(second))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path("/ListStreams"))
        .respond_with(ResponseTemplate::new(200).set_body_json(first))
        .mount(&server)
        .await;
    let ivs = client(|ivs| ivs.api_base_url = server.uri());
    assert_eq!(ivs.viewers(permit(), "a").await, Some(7));
    assert_eq!(ivs.viewers(permit(), "b").await, None, "unknown");
    assert_eq!(ivs.viewers(permit(), "c").await, None);
}

#[tokio::test]
async fn a_viewer_limit_does_not_hide_a_broadcast_and_a_failing_host_is_no_answer() {
    let bench = IvsBench::start(fast());
    let ingest = bench.create("tag-1").await;
    bench.publish(&ingest).unwrap();
    bench.until_live(&ingest).await;
    let probe = |status| {
        let fault = VendorFault::once(VendorCall::IvsManifest, FaultKind::Status(status, None));
        bench.vendors.fault(fault);
        let watched = relaykeeper::platforms::WatchedIngest {
            id: &ingest.id,
            hls_url: Some(&ingest.playback.hls_url),
        };
        bench
            .platform
            .observe(permit(), watched, FeedQuestion::Both)
    };
    probe(502).await.unwrap_err();
    let reading = probe(404).await.unwrap().unwrap();
    assert_eq!(reading.watchable, Some(false));
    let reading = probe(429).await.unwrap().unwrap();
    assert_eq!(reading.watchable, Some(true));
}
