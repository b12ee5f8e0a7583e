//! What holds on every platform alike, tried on those that have no file of their own for it.
#![cfg(feature = "sandbox")]

use std::time::{Duration, Instant};

use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::{FaultKind, Options, Quotas, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;

use crate::support::platform::TestPlatform;
use crate::support::service::{
    Stage, calls, nothing_is_left, options, show, vendors_when, violations, webhooks,
};

async fn stage_with(
    platform: TestPlatform,
    backend: AgoraBackend,
    options: Options,
    change: impl FnOnce(&mut Settings),
) -> Stage {
    Stage::with_vendors(backend, options, |vendors, settings| {
        platform.make_default(vendors, settings);
        change(settings);
    })
    .await
}

/// The answer is lost, the search by tag finds the ingest, and no second one is made.
#[rstest]
#[tokio::test]
async fn a_lost_answer_to_the_creation_makes_no_second_ingest(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
) {
    let stage = stage_with(platform, backend, options(), |_| {}).await;
    let create = platform.create();
    stage
        .vendors
        .fault(VendorFault::once(create, FaultKind::CutAfter));
    stage.service.go_live(42, &show("show68")).await;
    assert_eq!(stage.vendors.state().live_inputs.len(), 1);
    assert_eq!(calls(&stage.vendors, create).len(), 1);
    stage.service.come_down(42).await;
    stage.settles().await;
}

#[rstest]
#[tokio::test]
async fn with_webhooks_twice_and_out_of_order_a_relay_is_live_before_its_next_poll(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
) {
    let poll = Duration::from_secs(40);
    let stage = stage_with(platform, backend, options(), |settings| {
        settings.relay.poll_interval = poll;
        settings.relay.live_timeout = Duration::from_secs(110);
        settings.relay.live_check_interval = poll;
    })
    .await;
    let mut urls = webhooks(&stage.service.url);
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

/// These platforms record all the same: the recording is deleted once it is complete.
#[rstest]
#[tokio::test]
async fn a_relay_without_recording_leaves_none(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
) {
    let backend = AgoraBackend::MediaPush;
    let stage = stage_with(platform, backend, options(), |_| {}).await;
    let mut body = show("show68");
    body["enable_recording"] = Value::Bool(false);
    stage.service.go_live(42, &body).await;
    let relay = stage.service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    vendors_when(&stage.vendors, "without recordings", |vendors| {
        let videos = vendors.state().videos;
        (videos.len() == 1 && videos[0].deleted).then_some(())
    })
    .await;
    stage.settles().await;
}

/// No key, token or secret in what the API answers.
#[rstest]
#[tokio::test]
async fn no_secret_of_a_platform_is_answered_or_stored(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
) {
    let backend = AgoraBackend::MediaPush;
    let stage = stage_with(platform, backend, options(), |_| {}).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let id = relay["id"].as_str().unwrap();
    let mut texts = String::new();
    for path in [
        format!("/v1/relays/{id}"),
        format!("/v1/relays/{id}/events?limit=200"),
        "/v1/health".to_owned(),
        "/metrics".to_owned(),
    ] {
        let answer = service.as_admin(Method::GET, &path).send().await.unwrap();
        texts.push_str(&answer.text().await.unwrap());
    }
    service.come_down(42).await;
    stage.settles().await;
    let issued = vendors.issued_secrets().len();
    let mut secrets = vendors.issued_secrets();
    secrets.extend(
        [
            vendors.mux_token_secret(),
            vendors.mux_webhook_secret(),
            vendors.ivs_secret_access_key(),
            vendors.ivs_webhook_secret(),
        ]
        .map(str::to_owned),
    );
    assert!(issued > 0);
    let rows = stage.database.raw().await;
    let rows = rows
        .texts("SELECT state FROM relays UNION ALL SELECT data FROM relay_events UNION ALL SELECT body FROM outbox")
        .await;
    let stored = |secret: &str| rows.iter().flatten().any(|row| row.contains(secret));
    for secret in &secrets {
        assert!(!texts.contains(secret.as_str()));
        assert!(!stored(secret));
    }
}

/// Mux's buckets hold 4 POST calls and 20 others; IVS allows five calls of each operation a second.
#[rstest]
#[tokio::test]
async fn ten_starts_at_once_are_spread_so_that_the_platform_refuses_none(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
) {
    let options = Options {
        quotas: Quotas {
            max_converters: 100,
            ..Quotas::default()
        },
        ..options()
    };
    let stage = stage_with(platform, AgoraBackend::MediaPush, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(15);
        settings.mux.writes_per_second = 4;
        settings.mux.reads_per_second = 10;
        settings.ivs.requests_per_second = 4;
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
