//! A channel goes live on Mux and comes down, with both recorders; its odd behaviour leaves nothing behind.
#![cfg(feature = "sandbox")]

mod kept_ingests;

use std::time::{Duration, Instant};

use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::relay::ResourceTag;
use relaykeeper::sandbox::{FaultKind, Options, Quotas, SimulatedVendors, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::service::{
    Stage, alive, calls, nothing_is_left, options, show, until, vendors_when, violations,
};

fn on_mux(vendors: &SimulatedVendors, settings: &mut Settings) {
    settings.platforms.default = "mux".into();
    let mux = &mut settings.mux;
    mux.token_id = vendors.mux_token_id().into();
    mux.token_secret = vendors.mux_token_secret().into();
    mux.api_base_url = vendors.mux_api_base_url();
    mux.playback_base_url = vendors.mux_playback_base_url();
    mux.webhook_secrets = vec!["rotated".into(), vendors.mux_webhook_secret().into()];
    // The vendors' clock is 20 times as fast.
    (mux.reads_per_second, mux.writes_per_second) = (20, 20);
    mux.recordings_interval = Duration::from_millis(300);
}

async fn stage(backend: AgoraBackend) -> Stage {
    stage_with(backend, options(), |_| {}).await
}

async fn stage_with(
    backend: AgoraBackend,
    options: Options,
    change: impl FnOnce(&mut Settings),
) -> Stage {
    Stage::with_vendors(backend, options, |vendors, settings| {
        on_mux(vendors, settings);
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

/// The answer is lost, the search by tag finds the live stream, and no second one is made.
#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_lost_answer_to_the_creation_makes_no_second_live_stream(#[case] backend: AgoraBackend) {
    let stage = stage(backend).await;
    let fault = VendorFault::once(VendorCall::MuxStreamCreate, FaultKind::CutAfter);
    stage.vendors.fault(fault);
    stage.service.go_live(42, &show("show68")).await;
    assert_eq!(stage.vendors.state().live_inputs.len(), 1);
    assert_eq!(calls(&stage.vendors, VendorCall::MuxStreamCreate).len(), 1);
    stage.service.come_down(42).await;
    stage.settles().await;
}

/// Each call fails once, in each way that may have been carried out or not.
#[rstest]
#[tokio::test]
async fn a_relay_survives_one_failure_of_any_call(
    #[values(
        VendorCall::MuxStreamCreate,
        VendorCall::MuxStreamGet,
        VendorCall::MuxStreamDisable,
        VendorCall::MuxStreamDelete,
        VendorCall::MuxAssetList,
        VendorCall::MuxManifest
    )]
    call: VendorCall,
    #[values(
        FaultKind::Status(503, None),
        FaultKind::Status(429, Some(1)),
        FaultKind::StatusAfter(500),
        FaultKind::CutAfter,
        FaultKind::NotJson,
        FaultKind::Page(403)
    )]
    kind: FaultKind,
) {
    let stage = stage(AgoraBackend::MediaPush).await;
    stage.vendors.fault(VendorFault::once(call, kind));
    let relay = stage.service.go_live(42, &show("show68")).await;
    let relay = match relay["phase"] == "live" {
        true => stage.service.come_down(42).await,
        false => relay,
    };
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    assert_eq!(relay["recordings"][0]["state"], "ready", "{relay:#}");
    stage.settles().await;
    assert_eq!(stage.vendors.state().live_inputs.len(), 1);
    assert_eq!(stage.vendors.state().faults, 1);
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

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn with_webhooks_a_relay_on_mux_is_live_before_its_next_poll(#[case] backend: AgoraBackend) {
    let poll = Duration::from_secs(40);
    let stage = stage_with(backend, options(), |settings| {
        settings.relay.poll_interval = poll;
        settings.relay.live_timeout = Duration::from_secs(110);
        settings.relay.live_check_interval = poll;
    })
    .await;
    let mut urls = crate::support::service::webhooks(&stage.service.url);
    urls.duplicates = true;
    urls.reordered = true;
    stage.vendors.set_webhooks(urls);
    let asked = Instant::now();
    stage.service.go_live(42, &show("show68")).await;
    assert!(asked.elapsed() < poll, "{:?}", asked.elapsed());
    let relay = stage.service.come_down(42).await;
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert!(stage.vendors.state().delivered > 0);
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

/// Mux always records: an asset of a relay without recording is deleted, once it is complete.
#[tokio::test]
async fn a_relay_without_recording_leaves_no_asset() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let mut body = show("show68");
    body["enable_recording"] = Value::Bool(false);
    stage.service.go_live(42, &body).await;
    let relay = stage.service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    vendors_when(&stage.vendors, "without assets", |vendors| {
        let videos = vendors.state().videos;
        (videos.len() == 1 && videos[0].deleted).then_some(())
    })
    .await;
    stage.settles().await;
}

#[tokio::test]
async fn the_janitor_removes_a_live_stream_that_no_relay_knows_and_no_other() {
    let stage = stage_with(AgoraBackend::MediaPush, options(), |settings| {
        settings.janitor.grace = Duration::from_secs(1);
    })
    .await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let (vendors, http) = (&stage.vendors, reqwest::Client::new());
    let known = relay["stream_key_id"].as_str().unwrap();
    let streams = vendors.state().live_inputs;
    let tag = streams[0].meta["passthrough"].as_str().unwrap();
    let mut orphan: ResourceTag = tag.parse().unwrap();
    orphan.relay = Uuid::now_v7();
    let create = async |passthrough: &str| {
        let url = format!("{}/video/v1/live-streams", vendors.mux_api_base_url());
        let request = http.post(url).json(&json!({"passthrough": passthrough}));
        let (id, secret) = (vendors.mux_token_id(), vendors.mux_token_secret());
        let answer = request.basic_auth(id, Some(secret)).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["data"]["id"].as_str().unwrap().to_owned()
    };
    let (orphan, foreign) = (create(&orphan.to_string()).await, create("another's").await);
    let is_deleted = |id: &str| {
        let streams = vendors.state().live_inputs;
        streams
            .iter()
            .any(|stream| stream.uid == id && stream.deleted)
    };
    until("without the orphan", async || is_deleted(&orphan)).await;
    assert!(!is_deleted(&foreign) && !is_deleted(known));
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

/// No key, token or secret in what the API answers.
#[tokio::test]
async fn no_secret_of_mux_is_answered_or_stored() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let id = relay["id"].as_str().unwrap();
    let mut texts = String::new();
    for path in [
        format!("/v1/relays/{id}"),
        format!("/v1/relays/{id}/events?limit=200"),
        "/v1/health".to_owned(),
        "/metrics".to_owned(),
    ] {
        let answer = stage
            .service
            .as_admin(Method::GET, &path)
            .send()
            .await
            .unwrap();
        texts.push_str(&answer.text().await.unwrap());
    }
    stage.service.come_down(42).await;
    stage.settles().await;
    let mut secrets = stage.vendors.issued_secrets();
    secrets.push(stage.vendors.mux_token_secret().to_owned());
    secrets.push(stage.vendors.mux_webhook_secret().to_owned());
    assert!(secrets.len() > 2);
    let rows = stage.database.raw().await;
    let rows = rows
        .texts("SELECT state FROM relays UNION ALL SELECT data FROM relay_events UNION ALL SELECT body FROM outbox")
        .await;
    for secret in &secrets {
        assert!(!texts.contains(secret.as_str()));
        assert!(
            !rows
                .iter()
                .flatten()
                .any(|row| row.contains(secret.as_str()))
        );
    }
}

/// Mux's buckets hold 4 POST calls and 20 others.
#[tokio::test]
async fn ten_starts_at_once_are_spread_so_that_mux_refuses_none() {
    let options = Options {
        quotas: Quotas {
            max_converters: 100,
            ..Quotas::default()
        },
        ..options()
    };
    let stage = stage_with(AgoraBackend::MediaPush, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(15);
        settings.mux.writes_per_second = 4;
        settings.mux.reads_per_second = 10;
    })
    .await;
    let starts = (1..=10).map(|number| {
        let service = &stage.service;
        async move {
            let body = show(&format!("show{number}"));
            service.go_live(number, &body).await;
            service.come_down(number).await
        }
    });
    for relay in futures_util::future::join_all(starts).await {
        assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    }
    stage.settles().await;
    assert!(nothing_is_left(&stage.vendors));
    assert_eq!(violations(&stage.vendors), [""; 0]);
}
