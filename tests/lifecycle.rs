//! A channel goes live and comes down, over real HTTP, on both backends.
#![cfg(feature = "sandbox")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod support;

use relaykeeper::config::AgoraBackend;
use rstest::rstest;
use serde_json::json;
use support::service::{Stage, nothing_is_left, show};

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_channel_goes_live_and_comes_down(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201, "{relay:#}");
    assert!(
        relay["hls_playback_url"]
            .as_str()
            .is_some_and(|url| url.starts_with(&vendors.customer_base_url()))
    );
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(
        (
            &relay["relay_status"],
            &relay["is_active"],
            &relay["is_live"]
        ),
        (&json!("active"), &json!(true), &json!(true))
    );
    let (status, _) = service.stop_channel(42).await;
    assert_eq!(status, 202);
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert_eq!(
        relay["recordings"].as_array().map(Vec::len),
        Some(1),
        "{relay:#}"
    );
    assert_eq!(relay["cost"]["source"], "recording");
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(
        service.phases(&relay).await,
        [
            "provisioning",
            "awaiting_live",
            "live",
            "stopping",
            "finalizing",
            "ended"
        ]
    );
    assert_eq!(
        vendors.state().violations.len(),
        0,
        "{:#?}",
        vendors.state().violations
    );
}
