//! Sellers who never come, leave or return while the feed continues.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use crate::support::service::{
    Stage, calls, nothing_is_left, options, show, vendors_when, violations,
};
use relaykeeper::config::{AgoraBackend, MediaPushMode, Settings};
use relaykeeper::sandbox::{Options, VendorCall};
use rstest::rstest;
use serde_json::{Value, json};

const SELLER: Option<u32> = Some(12345);

async fn stage(backend: AgoraBackend, webhooks: bool, change: impl FnOnce(&mut Settings)) -> Stage {
    let stage = Stage::with(backend, options(), change).await;
    if webhooks {
        stage.webhooks_on();
    }
    stage
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_relay_whose_seller_never_comes_ends_and_says_so(
    #[case] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = stage(backend, webhooks, |settings| {
        settings.relay.live_timeout = Duration::from_secs(3);
        // Pushes only the seller's stream, as the page does.
        settings.agora.media_push.mode = MediaPushMode::Raw;
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.set_seller("show68", SELLER, false);
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201, "{relay:#}");
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "live_timeout");
    assert_eq!(relay["outcome"]["detail"]["seller"], "not in the channel");
    assert_eq!(relay["relay_status"], "failed");
    assert_eq!(relay["live_at"], Value::Null);
    assert!(!service.phases(&relay).await.contains(&"live".to_owned()));
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(relay["cost"], Value::Null);
    assert_eq!(service.get("/v1/costs").await["costs"], json!([]));
    assert_eq!(stage.count("SELECT COUNT(*) FROM stream_costs").await, 0);
}

/// A transcoded converter pushes its canvas even without a seller.
#[tokio::test]
async fn a_feed_without_its_seller_is_not_live() {
    let stage = stage(AgoraBackend::MediaPush, false, |settings| {
        settings.relay.live_timeout = Duration::from_secs(3);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.set_seller("show68", SELLER, false);
    let (_, relay) = service.start_channel(42, &show("show68")).await;
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "live_timeout");
    assert_eq!(relay["outcome"]["detail"]["seller"], "not in the channel");
    assert_eq!(relay["live_at"], Value::Null);
    assert_eq!(vendors.state().videos.len(), 1, "it was published");
    assert!(nothing_is_left(vendors));
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_seller_who_leaves_for_good_ends_the_relay_though_the_feed_continues(
    #[case] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = stage(backend, webhooks, |_| {}).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    vendors.set_seller("show68", SELLER, false);
    let relay = service.in_phase(&relay, "interrupted").await;
    assert_eq!(relay["is_active"], true);
    assert_eq!(relay["is_live"], false);
    assert!(vendors.state().live_inputs[0].playable, "the feed goes on");
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "seller_left");
    assert_eq!(relay["relay_status"], "stopped");
    assert_eq!(relay["agora"]["replacements"], 0);
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(violations(vendors), [""; 0]);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_seller_who_returns_within_the_window_keeps_the_same_recording(
    #[case] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = stage(backend, webhooks, |settings| {
        settings.relay.reconnect_window = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let url = relay["hls_playback_url"].clone();
    vendors.set_seller("show68", SELLER, false);
    let relay = service.in_phase(&relay, "interrupted").await;
    vendors.set_seller("show68", SELLER, true);
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(relay["hls_playback_url"], url);
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(relay["agora"]["replacements"], 0);
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        service.phases(&relay).await,
        [
            "provisioning",
            "awaiting_live",
            "live",
            "interrupted",
            "live",
            "stopping",
            "finalizing",
            "ended"
        ]
    );
    let state = vendors.state();
    assert_eq!(
        (
            state.live_inputs.len(),
            state.egresses.len(),
            state.videos.len()
        ),
        (1, 1, 1)
    );
    assert!(nothing_is_left(vendors));
}

#[tokio::test]
async fn malformed_hosts_do_not_hide_the_sellers_presence() {
    let options = Options {
        odd_entries: true,
        ..options()
    };
    let stage = Stage::with(AgoraBackend::MediaPush, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.set_seller("show68", SELLER, false);
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201, "{relay:#}");
    vendors_when(
        vendors,
        "its canvas shown, and the hosts polled",
        |vendors| {
            let shown = vendors.state().live_inputs[0].playable;
            (shown && calls(vendors, VendorCall::Hosts).len() > 5).then_some(())
        },
    )
    .await;
    assert_eq!(
        service.phases(&relay).await.last().unwrap(),
        "awaiting_live"
    );
    vendors.set_seller("show68", SELLER, true);
    service.in_phase(&relay, "live").await;
    vendors.set_seller("show68", SELLER, false);
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "seller_left", "{relay:#}");
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
}

#[tokio::test]
async fn another_host_in_the_channel_is_not_the_seller() {
    let stage = stage(AgoraBackend::MediaPush, false, |_| {}).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    vendors.set_seller("show68", Some(777), true);
    vendors.set_seller("show68", SELLER, false);
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "seller_left");
}
