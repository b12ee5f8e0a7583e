//! A channel goes live on Mux and comes down, with both recorders; its odd behaviour leaves nothing behind.
#![cfg(feature = "sandbox")]

mod kept_ingests;

use std::time::Duration;

use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::{FaultKind, Options, SimulatedVendors, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::support::platform::TestPlatform;
use crate::support::service::{Stage, alive, calls, options, show, until, violations};

async fn stage(backend: AgoraBackend) -> Stage {
    stage_with(backend, options(), |_| {}).await
}

async fn stage_with(
    backend: AgoraBackend,
    options: Options,
    change: impl FnOnce(&mut Settings),
) -> Stage {
    Stage::with_vendors(backend, options, |vendors, settings| {
        TestPlatform::Mux.make_default(vendors, settings);
        change(settings);
    })
    .await
}

fn without_cloudflare(vendors: &SimulatedVendors) {
    let calls = vendors.state().calls;
    let other = calls.iter().find(|call| {
        // The janitor lists every platform's ingests.
        let other = call.call.starts_with("cloudflare.") || call.call.starts_with("customer.");
        other && !call.call.ends_with(".list")
    });
    assert!(other.is_none(), "{other:?}");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_channel_goes_live_on_mux_and_comes_down(#[case] backend: AgoraBackend) {
    let stage = stage(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    assert_eq!(relay["platform"], "mux");
    let hls = relay["hls_playback_url"].as_str().unwrap();
    assert!(hls.starts_with(&vendors.mux_playback_base_url()), "{hls}");
    assert_eq!(reqwest::get(hls).await.unwrap().status(), 200);
    let playback = service.get("/v1/channels/42/playback").await;
    assert_eq!(
        (&playback["hls_url"], &playback["is_live"]),
        (&json!(hls), &json!(true))
    );
    let health = service.get("/v1/health").await;
    assert_eq!(health["platforms"]["mux"]["healthy"], true, "{health:#}");

    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    let [recording] = &relay["recordings"].as_array().unwrap()[..] else {
        panic!("{relay:#}");
    };
    assert_eq!(recording["state"], "ready");
    assert!(
        recording["duration_seconds"].as_u64().unwrap() > 0,
        "{relay:#}"
    );
    let url = recording["hls_url"].as_str().unwrap();
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
    assert_eq!(relay["cost"]["source"], "recording");
    // 25 dollars for encoding and 2.4 for storage, for 1,000 minutes.
    assert_eq!(relay["cost"]["cost_micros"], 27_400, "{relay:#}");
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
    assert_eq!(calls(vendors, VendorCall::MuxStreamCreate).len(), 1);
    without_cloudflare(vendors);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_egress_that_dies_is_replaced_at_the_same_url(#[case] backend: AgoraBackend) {
    let stage = stage_with(backend, options(), |settings| {
        settings.relay.reconnect_window = Duration::from_secs(15);
        settings.relay.feed_timeout = Duration::from_secs(3);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let first = alive(vendors).remove(0);
    assert!(vendors.kill(&first.id, None));
    let replaced = service
        .relay_when(&relay, "replaced", |relay| {
            relay["phase"] == "live" && relay["agora"]["replacements"] == 1
        })
        .await;
    assert_eq!(replaced["hls_playback_url"], relay["hls_playback_url"]);
    assert_eq!(replaced["stream_key_id"], relay["stream_key_id"]);
    service.come_down(42).await;
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}

#[tokio::test]
async fn a_plan_without_live_streams_ends_the_start_and_raises_an_alarm() {
    let options = Options {
        mux_free_plan: true,
        ..options()
    };
    let stage = stage_with(AgoraBackend::MediaPush, options, |_| {}).await;
    let (_, relay) = stage.service.start_channel(42, &show("show68")).await;
    let id = match relay["relay_id"].is_string() {
        true => json!({"id": relay["relay_id"]}),
        false => relay,
    };
    let ended = stage.service.in_phase(&id, "ended").await;
    assert_eq!(ended["outcome"]["code"], "vendor_quota", "{ended:#}");
    assert_eq!(calls(&stage.vendors, VendorCall::MuxStreamCreate).len(), 1);
    until("with the alarm", async || {
        let health = stage.service.get("/v1/health").await;
        let alarms = health["alarms"].as_array().unwrap();
        alarms
            .iter()
            .any(|alarm| alarm["code"] == "mux-plan-refuses")
    })
    .await;
    stage.settles().await;
}

#[tokio::test]
async fn a_webhook_of_mux_needs_its_signature_and_an_address_without_a_source() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let post = async |path: &str| {
        let request = stage.service.request(Method::POST, path);
        let request = request.header("Mux-Signature", "t=1,v1=00").body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("/webhooks/mux").await, 401);
    assert_eq!(post("/webhooks/mux/live").await, 404);
    assert_eq!(post("/webhooks/ivs").await, 404);
    assert_eq!(post("/webhooks/cloudflare").await, 404);
}

/// Relays on two platforms at once; one platform away does not touch the other.
#[tokio::test]
async fn a_relay_on_another_platform_notices_nothing_of_mux_being_away() {
    let stage = stage_with(AgoraBackend::MediaPush, options(), |settings| {
        settings.platforms.default = "cloudflare".into();
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let mut body = show("show68");
    body["platform"] = "mux".into();
    let on_mux = service.go_live(42, &body).await;
    assert_eq!(on_mux["platform"], "mux");
    for call in [
        VendorCall::MuxStreamGet,
        VendorCall::MuxStreamList,
        VendorCall::MuxStreamDisable,
        VendorCall::MuxManifest,
    ] {
        vendors.fault(VendorFault::forever(call, FaultKind::Refuse));
    }
    let other = service.go_live(43, &show("show69")).await;
    assert_eq!(other["platform"], "cloudflare");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let still = service.in_phase(&on_mux, "live").await;
    assert_eq!(still["is_live"], true, "a failed poll is no reading");
    service.come_down(43).await;
    vendors.clear_faults();
    service.come_down(42).await;
    stage.settles().await;
}
