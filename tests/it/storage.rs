//! A database outage: no action without its stored intent.
#![cfg(feature = "sandbox")]

mod full_disk;
mod restart;

use std::time::{Duration, Instant};

use crate::support::database::Raw;
use crate::support::service::{
    PATIENCE, Service, Stage, changes, nothing_is_left, options, show, until, vendors_when,
};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::Value;

/// Another program locks the database: reads work, writes do not.
async fn lock(stage: &Stage) -> Raw {
    let other = stage.database.raw().await;
    let deadline = Instant::now() + PATIENCE;
    while sea_orm::ConnectionTrait::execute_unprepared(&other.0, "BEGIN EXCLUSIVE")
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "never locked");
    }
    other
}

async fn readyz(service: &Service) -> (StatusCode, Value) {
    let answer = service
        .request(Method::GET, "/readyz")
        .send()
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn until_unready(service: &Service) {
    until("unready", async || readyz(service).await.0 == 503).await;
}

/// A signed notification of Cloudflare.
async fn notify(stage: &Stage) -> StatusCode {
    notify_at(&stage.service, &stage.vendors).await
}

async fn notify_at(service: &Service, vendors: &SimulatedVendors) -> StatusCode {
    let answer = service
        .request(Method::POST, "/webhooks/cloudflare/live")
        .header("cf-webhook-auth", vendors.live_webhook_secret())
        .json(&serde_json::json!({ "data": {} }))
        .send()
        .await
        .unwrap();
    answer.status()
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_delays_a_stop_until_the_lock_is_released(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let service = &stage.service;
    let (_, relay) = service.start_channel(1, &show("show1")).await;
    let relay = service.in_phase(&relay, "live").await;
    let other = lock(&stage).await;
    let before = changes(&stage.vendors);
    let (stop, start) = tokio::join!(service.stop_channel(1), async {
        // Queued behind the stop's write.
        service.start_channel(2, &show("show2")).await
    });
    let detail = stop.1["detail"].as_str().unwrap();
    assert!(detail.contains("may still take effect"), "{detail}");
    for (status, problem) in [&stop, &start] {
        assert_eq!(
            (*status, &problem["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"database".into()),
            "{problem:#}"
        );
    }
    until_unready(service).await;
    assert_eq!(notify(&stage).await, 503, "the vendor shall repeat it");
    // Reads are not affected.
    assert_eq!(
        service.get("/v1/channels/1").await["relay"]["phase"],
        "live"
    );
    assert_eq!(
        changes(&stage.vendors),
        before,
        "nothing is done whose intent is not stored"
    );
    other.execute("ROLLBACK").await;
    service.wait_until_ready().await;
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert_eq!(notify(&stage).await, 200);
    assert!(
        nothing_is_left(&stage.vendors),
        "{:#?}",
        stage.vendors.state()
    );
    // The refused start did nothing, and works now.
    assert_eq!(stage.vendors.state().live_inputs.len(), 1);
    let (status, relay) = service.start_channel(2, &show("show2")).await;
    assert_eq!(status, 201, "{relay:#}");
    service.in_phase(&relay, "live").await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_while_its_next_step_cannot_be_stored(#[case] backend: AgoraBackend) {
    // Long enough to lock the database meanwhile.
    let options = Options {
        create_latency: Duration::from_secs(60),
        ..options()
    };
    let change = |settings: &mut relaykeeper::config::Settings| {
        settings.relay.provisioning_timeout = Duration::from_secs(120);
        settings.vendors.write_timeout = Duration::from_secs(20);
    };
    let stage = Stage::with(backend, options, change).await;
    let service = &stage.service;
    let answer = service
        .request(Method::POST, "/v1/channels/1/start")
        .header("Prefer", "wait=0")
        .json(&show("show1"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let relay: Value = answer.json().await.unwrap();
    let other = lock(&stage).await;
    vendors_when(&stage.vendors, "asked for an ingest", |vendors| {
        (vendors.state().live_inputs.len() == 1).then_some(())
    })
    .await;
    until_unready(service).await;
    assert!(
        stage.vendors.state().egresses.is_empty(),
        "an egress started before its ingest was stored"
    );
    other.execute("ROLLBACK").await;
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(readyz(service).await.0, 200);
    let state = stage.vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 1));
    assert!(state.violations.is_empty(), "{:#?}", state.violations);
    assert_eq!(service.stop_channel(1).await.0, 202);
    service.in_phase(&relay, "ended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_outage_is_noticed_without_requests_and_so_is_its_end() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let other = lock(&stage).await;
    until_unready(&stage.service).await;
    other.execute("ROLLBACK").await;
    stage.service.wait_until_ready().await;
}
