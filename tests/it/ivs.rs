//! A channel goes live on IVS and comes down, with both recorders; its odd behaviour leaves nothing behind.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use relaykeeper::config::{AgoraBackend, DefaultIngestOwner, Settings};
use relaykeeper::platforms::Platform as _;
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::ivs_client::support::client;
use crate::support::bench::permit;
use crate::support::platform::{TestPlatform, ivs_of};
use crate::support::service::{
    Stage, alive, calls, options, show, until, vendors_when, violations,
};

async fn stage(backend: AgoraBackend) -> Stage {
    stage_with(backend, options(), |_| {}).await
}

async fn stage_with(
    backend: AgoraBackend,
    options: Options,
    change: impl FnOnce(&mut Settings),
) -> Stage {
    Stage::with_vendors(backend, options, |vendors, settings| {
        TestPlatform::Ivs.make_default(vendors, settings);
        change(settings);
    })
    .await
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_channel_goes_live_on_ivs_and_comes_down(#[case] backend: AgoraBackend) {
    let stage = stage(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    assert_eq!(relay["platform"], "ivs");
    let arn = relay["stream_key_id"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:ivs:"), "{arn}");
    let hls = relay["hls_playback_url"].as_str().unwrap();
    assert!(hls.starts_with(&vendors.ivs_playback_base_url()), "{hls}");
    assert_eq!(reqwest::get(hls).await.unwrap().status(), 200);
    let health = service.get("/v1/health").await;
    assert_eq!(health["platforms"]["ivs"]["healthy"], true, "{health:#}");

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
    // 2 dollars for an hour of input, by the minute.
    assert_eq!(relay["cost"]["cost_micros"], 33_334, "{relay:#}");
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
    assert_eq!(calls(vendors, VendorCall::IvsChannelCreate).len(), 1);
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
    let relay = service.come_down(42).await;
    // Each connection is a recording of its own.
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(2));
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}

/// The answer to the creation is lost, and the key with it.
#[tokio::test]
async fn a_channel_that_is_found_without_a_key_gets_one() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.fault(VendorFault::once(
        VendorCall::IvsChannelCreate,
        FaultKind::CutAfter,
    ));
    vendors.fault(VendorFault::forever(
        VendorCall::IvsChannelList,
        FaultKind::Status(503, None),
    ));
    let lose_the_key = async {
        let channel = vendors_when(vendors, "with a channel", |vendors| {
            let channels = vendors.state().live_inputs;
            channels.first().map(|channel| channel.uid.clone())
        })
        .await;
        let ivs = client(|ivs| ivs_of(vendors, ivs));
        ivs.close(permit(), &channel).await.unwrap();
        vendors.clear_faults();
    };
    let body = show("show68");
    let (relay, ()) = tokio::join!(service.go_live(42, &body), lose_the_key);
    assert_eq!(relay["phase"], "live", "{relay:#}");
    assert_eq!(vendors.state().live_inputs.len(), 1);
    assert_eq!(calls(vendors, VendorCall::IvsKeyCreate).len(), 1);
    service.come_down(42).await;
    stage.settles().await;
}

#[tokio::test]
async fn an_account_that_is_not_verified_ends_the_start_and_raises_an_alarm() {
    let options = Options {
        ivs_pending_verification: true,
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
    assert_eq!(calls(&stage.vendors, VendorCall::IvsChannelCreate).len(), 1);
    until("with the alarm", async || {
        let health = stage.service.get("/v1/health").await;
        let alarms = health["alarms"].as_array().unwrap();
        alarms
            .iter()
            .any(|alarm| alarm["code"] == "ivs-account-refuses")
    })
    .await;
    stage.settles().await;
}

#[tokio::test]
async fn an_event_of_ivs_needs_its_secret_and_an_address_without_a_source() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let post = async |path: &str, secret: &str| {
        let request = stage.service.request(Method::POST, path);
        let request = request.header("x-relaykeeper-secret", secret).body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    let secret = stage.vendors.ivs_webhook_secret();
    assert_eq!(post("/webhooks/ivs", "another").await, 401);
    assert_eq!(post("/webhooks/ivs", secret).await, 200);
    assert_eq!(post("/webhooks/ivs/live", secret).await, 404);
}

#[tokio::test]
async fn recordings_that_cannot_be_read_are_neither_searched_for_nor_missed() {
    let stage = stage_with(AgoraBackend::MediaPush, options(), |settings| {
        settings.ivs.recording_bucket = String::new();
        settings.ivs.vod_base_url = String::new();
    })
    .await;
    stage.service.go_live(42, &show("show68")).await;
    let relay = stage.service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    assert_eq!(relay["recordings"], json!([]));
    stage.settles().await;
    assert_eq!(calls(&stage.vendors, VendorCall::S3List).len(), 0);
}

#[tokio::test]
async fn shows_of_a_kept_channel_have_one_url_and_each_its_recording() {
    let stage = stage_with(AgoraBackend::MediaPush, options(), |settings| {
        settings.ingest.owner = DefaultIngestOwner::Channel;
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    // Without a window nothing is merged, once the configuration is read.
    let read = VendorCall::IvsRecordingConfigurationGet;
    until("with the configuration", async || {
        !calls(vendors, read).is_empty()
    })
    .await;
    let mut urls = Vec::new();
    for _ in 0..2 {
        let relay = service.go_live(42, &show("show68")).await;
        urls.push(relay["hls_playback_url"].clone());
        let relay = service.come_down(42).await;
        let [recording] = &relay["recordings"].as_array().unwrap()[..] else {
            panic!("{relay:#}");
        };
        assert_eq!(recording["state"], "ready");
    }
    assert_eq!(urls[0], urls[1]);
    assert_eq!(calls(vendors, VendorCall::IvsChannelCreate).len(), 1);
    assert_eq!(violations(vendors), [""; 0]);
}
