//! The client of Mux against the simulated Mux, which was written apart from it.
#![cfg(feature = "sandbox")]

mod broadcasts;
mod refusals;
mod support;

use std::time::Duration;

use relaykeeper::platforms::{Platform as _, RecordingsSearch, Removal};
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use relaykeeper::vendors::{Class, Done};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::bench::{fast, new, permit};
use support::MuxBench;

#[tokio::test]
async fn a_live_stream_is_public_tagged_and_holds_its_broadcast_as_long_as_asked() {
    let bench = MuxBench::start(fast());
    let created = bench.create("tag-1").await;
    assert_eq!(created.ignored_settings, [""; 0]);
    let url = created.publish_url.expose_secret().to_owned();
    assert!(
        url.starts_with("rtmps://global-live.mux.com:443/app/"),
        "{url}"
    );
    let stream = bench.raw(&created.id).await;
    assert_eq!(stream["status"], "idle");
    assert_eq!(stream["latency_mode"], "standard");
    assert_eq!(stream["reconnect_window"], 180);
    assert_eq!(stream["passthrough"], "tag-1");
    assert_eq!(stream["playback_ids"][0]["policy"], "public");
    let assets = &stream["new_asset_settings"];
    assert_eq!(assets["playback_policies"], json!(["public"]));
    assert_eq!(assets["passthrough"], "tag-1");
    let playback = stream["playback_ids"][0]["id"].as_str().unwrap();
    let base = bench.vendors.mux_playback_base_url();
    assert_eq!(created.playback.hls_url, format!("{base}/{playback}.m3u8"));
    assert_eq!(created.playback.dash_url, None);

    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(read.publish_url.unwrap().expose_secret(), url);
    assert_eq!(read.playback, Some(created.playback));
    assert_eq!(
        (read.tag.as_deref(), read.is_closed),
        (Some("tag-1"), false)
    );
}

/// Mux has no idempotency keys.
#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_found_by_its_tag_and_not_repeated() {
    let bench = MuxBench::start(fast());
    let fault = VendorFault::once(VendorCall::MuxStreamCreate, FaultKind::CutAfter);
    bench.vendors.fault(fault);
    let lost = bench.platform.ensure_ingest(permit(), &new("tag-1")).await;
    assert_eq!(lost.unwrap_err().done, Done::Unknown);
    assert_eq!(bench.calls(VendorCall::MuxStreamCreate), 1);
    bench.create("tag-2").await;
    let list = bench.platform.list_tagged(permit()).await.unwrap();
    assert!(!list.may_be_cut);
    let [found] = &list.with_tag("tag-1")[..] else {
        panic!("{list:?}");
    };
    let age = chrono::Utc::now() - found.created.unwrap();
    assert!(age.num_seconds().abs() < 60, "{age}");
}

#[tokio::test]
async fn the_list_is_read_to_its_end() {
    let bench = MuxBench::start(fast());
    for number in 0..210 {
        bench.raw_create(&format!("tag-{number}")).await;
    }
    let list = bench.platform.list_tagged(permit()).await.unwrap();
    assert_eq!((list.ingests.len(), list.may_be_cut), (210, false));
    let mut tags: Vec<_> = list.ingests.iter().map(|ingest| &ingest.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 210);
    assert_eq!(bench.calls(VendorCall::MuxStreamList), 3);
}

#[tokio::test]
async fn closing_and_removing_may_be_repeated() {
    let bench = MuxBench::start(fast());
    let created = bench.create("tag-1").await;
    bench.publish(&created).unwrap();
    for _ in 0..2 {
        bench.platform.close(permit(), &created.id).await.unwrap();
        assert!(bench.publish(&created).is_err(), "it is disabled");
    }
    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert!(read.is_closed);
    for _ in 0..2 {
        let removal = bench.platform.remove(permit(), &created.id).await.unwrap();
        assert_eq!(removal, Removal::Gone);
    }
    let closed = bench
        .platform
        .close(permit(), &created.id)
        .await
        .unwrap_err();
    assert_eq!(closed.class, Class::NotFound);
    let read = bench.platform.read_ingest(permit(), &created.id).await;
    assert_eq!(read.unwrap_err().class, Class::NotFound);
}

/// At Mux, a new key alone leaves a connected encoder where it is.
#[tokio::test]
async fn a_renewed_key_throws_out_who_publishes_with_the_old_one() {
    let bench = MuxBench::start(fast());
    let created = bench.create("tag-1").await;
    bench.publish(&created).unwrap();
    assert_eq!(bench.encoders(&created.id), 1);
    let url = bench
        .platform
        .renew_key(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(bench.encoders(&created.id), 0);
    assert!(bench.publish(&created).is_err(), "the old key is dead");
    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(read.playback, Some(created.playback.clone()));
    assert!(!read.is_closed);
    bench.vendors.publish(url.expose_secret(), "new").unwrap();

    // A renewal that failed half-way is repeated whole.
    for call in [VendorCall::MuxStreamDisable, VendorCall::MuxStreamEnable] {
        bench
            .vendors
            .fault(VendorFault::once(call, FaultKind::CutAfter));
        let half = bench.platform.renew_key(permit(), &created.id).await;
        half.unwrap_err();
        let whole = bench
            .platform
            .renew_key(permit(), &created.id)
            .await
            .unwrap();
        let connection = bench.vendors.publish(whole.expose_secret(), "again");
        bench.vendors.unpublish(connection.unwrap());
    }
}

#[tokio::test]
async fn recordings_outlive_their_live_stream_and_are_deleted_once() {
    let bench = MuxBench::start(fast());
    let created = bench.create("tag-1").await;
    let other = bench.create("tag-2").await;
    for ingest in [&created, &other] {
        bench.publish(ingest).unwrap();
        bench.until_active(&ingest.id).await;
        bench.platform.remove(permit(), &ingest.id).await.unwrap();
    }
    let search = async || {
        let search = RecordingsSearch::AfterRemoval(permit());
        bench
            .platform
            .recordings(&created.id, search)
            .await
            .unwrap()
    };
    let [recording] = &search().await[..] else {
        panic!("not its recording alone");
    };
    for _ in 0..2 {
        // Until it is complete, Mux refuses.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while let Err(error) = bench
            .platform
            .delete_recording(permit(), &recording.id)
            .await
        {
            assert_eq!(error.class, Class::Rejected);
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(search().await.is_empty());
}

#[tokio::test]
async fn a_live_stream_that_buyers_could_not_watch_is_deleted() {
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};
    let server = MockServer::start().await;
    let stream = json!({"data": {"id": "s1", "stream_key": "key", "status": "idle",
        "playback_ids": [{"id": "p", "policy": "signed"}]}});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(201).set_body_json(stream))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path("/video/v1/live-streams/s1"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let mux = support::client(&server.uri(), &server.uri(), "id", "secret");
    let refused = mux.ensure_ingest(permit(), &new("tag")).await.unwrap_err();
    assert_eq!((refused.class, refused.done), (Class::Rejected, Done::No));
}

#[tokio::test]
async fn settings_that_mux_does_not_take_are_told() {
    let bench = MuxBench::start(Options { ..fast() });
    let mut long = new("tag-1");
    long.feed_timeout_seconds = 7200;
    let created = bench.platform.ensure_ingest(permit(), &long).await.unwrap();
    assert_eq!(
        created.ignored_settings, [""; 0],
        "half an hour is its most"
    );
    assert_eq!(bench.raw(&created.id).await["reconnect_window"], 1800);
}
