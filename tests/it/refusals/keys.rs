//! Repeated `Idempotency-Key`s of starts.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::{Value, json};

use super::{START, stage};
use crate::on_both_databases;
use crate::support::database::{TestDatabase, on};
use crate::support::service::{Answer, Service, calls, options, settings, show, vendors_when};

const KEY: [(&str, &str); 1] = [("Idempotency-Key", "order-1")];

/// Without the request id, which differs.
fn refusal(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    body["request_id"].take();
    (answer.status, body)
}

async fn a_repeated_failed_start_gets_the_same_refusal_after_a_restart_and_on_another_node(
    database: TestDatabase,
) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    settings.relay.start_wait = Duration::from_secs(25);
    settings.server.shutdown_grace = Duration::from_millis(200);
    let rejected = VendorFault::once(VendorCall::ConverterCreate, FaultKind::Status(400, None));
    vendors.fault(rejected);
    let first = Service::start(settings.clone()).await;
    let refused = first.post(START, &KEY, &show("show68")).await;
    refused.is_problem(502, "vendor-rejected");
    let again = first.post(START, &KEY, &show("show68")).await;
    assert_eq!(refusal(&again), refusal(&refused));
    let relay = json!({ "id": refused.body["relay_id"] });
    first.in_phase(&relay, "ended").await;
    let other = first.post(START, &KEY, &show("show69")).await;
    other.is_problem(422, "idempotency-mismatch");

    let next = first.go_live(42, &show("show68")).await;
    assert_ne!(next["id"], relay["id"]);
    let other_node = (!database.is_sqlite()).then_some(first);
    let second = Service::start(settings).await;
    let again = second.post(START, &KEY, &show("show68")).await;
    assert_eq!(refusal(&again), refusal(&refused));
    drop(other_node);
}

on_both_databases!(
    a_repeated_failed_start_gets_the_same_refusal_after_a_restart_and_on_another_node
);

async fn meets_a_pending_stop(database: TestDatabase) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    let owner = Service::start(settings.clone()).await;
    let other = Service::start(settings).await;
    let last = owner.go_live(42, &show("show68")).await;
    // The owner is not notified: it finds the request in its next round.
    let request = "UPDATE relays SET stop_requested_at = now()";
    database.raw().await.execute(request).await;
    let next = other.post(START, &KEY, &show("show68")).await;
    assert!(matches!(next.status, 201 | 202), "{next:#?}");
    assert_ne!(next.body["id"], last["id"]);
    let again = owner.post(START, &KEY, &show("show68")).await;
    assert_eq!(again.body["id"], next.body["id"], "{again:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_start_with_a_key_during_a_pending_stop_gets_the_next_relay() {
    on(TestDatabase::postgres().await, meets_a_pending_stop).await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn the_key_of_a_start_that_the_rate_budget_refused_is_released(
    #[case] backend: AgoraBackend,
) {
    let stage = stage(backend, |_| {}).await;
    let (service, vendors) = (&stage.service, &stage.vendors);
    let pause = FaultKind::Status(429, Some(120));
    vendors.fault(VendorFault::once(VendorCall::LiveInputList, pause));
    vendors_when(vendors, "paused", |vendors| {
        let lists = calls(vendors, VendorCall::LiveInputList);
        lists
            .iter()
            .any(|call| call.status == Some(429))
            .then_some(())
    })
    .await;
    let first = service.post(START, &KEY, &show("show68")).await;
    first.is_problem(503, "vendor-rate-limited");
    assert_eq!(calls(vendors, VendorCall::LiveInputCreate).len(), 0);
    // A released key accepts another body.
    let second = service.post(START, &KEY, &show("show69")).await;
    second.is_problem(503, "vendor-rate-limited");
    assert_ne!(second.body["relay_id"], first.body["relay_id"]);
    assert_eq!(stage.count("SELECT COUNT(*) FROM relays").await, 2);
}

#[tokio::test]
async fn the_key_of_a_start_that_met_a_conflict_is_released() {
    let stage = stage(AgoraBackend::MediaPush, |_| {}).await;
    let service = &stage.service;
    service.go_live(42, &show("show68")).await;
    let refused = service.post(START, &KEY, &show("show69")).await;
    refused.is_problem(409, "conflict");
    service.come_down(42).await;
    let started = service.post(START, &KEY, &show("show69")).await;
    assert_eq!(started.status, 201, "{:#}", started.body);
}

#[tokio::test]
async fn a_repeated_successful_start_returns_its_relay_even_if_that_failed_later() {
    let stage = stage(AgoraBackend::MediaPush, |settings| {
        settings.relay.live_timeout = Duration::from_millis(500);
    })
    .await;
    for call in [VendorCall::Lifecycle, VendorCall::Manifest] {
        let down = FaultKind::Status(503, None);
        stage.vendors.fault(VendorFault::forever(call, down));
    }
    let service = &stage.service;
    let started = service.post(START, &KEY, &show("show68")).await;
    assert_eq!(started.status, 201, "{:#}", started.body);
    let relay = service.in_phase(&started.body, "ended").await;
    assert_eq!(relay["outcome"]["code"], "live_timeout");
    let again = service.post(START, &KEY, &show("show68")).await;
    assert_eq!(
        (again.status, &again.body["id"], &again.body["relay_status"]),
        (200, &relay["id"], &json!("failed"))
    );
}
