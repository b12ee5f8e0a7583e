//! A stop works at any time; concurrent starts and stops leave at most one relay.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use crate::support::service::{Stage, alive, calls, options, show, vendors_when, violations};
use futures_util::future::join_all;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, Options, SimulatedVendors, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::{Value, json};

const START: &str = "/v1/channels/42/start";
const STOP: &str = "/v1/channels/42/stop";

fn stop_call(backend: AgoraBackend) -> VendorCall {
    match backend {
        AgoraBackend::CloudRecording => VendorCall::Stop,
        AgoraBackend::MediaPush => VendorCall::ConverterDelete,
    }
}

fn start_call(backend: AgoraBackend) -> VendorCall {
    match backend {
        AgoraBackend::CloudRecording => VendorCall::Start,
        AgoraBackend::MediaPush => VendorCall::ConverterCreate,
    }
}

async fn start_without_waiting(stage: &Stage) -> Value {
    let answer = stage
        .service
        .post(START, &[("Prefer", "wait=0")], &show("show68"))
        .await;
    assert_eq!(answer.status, 202, "{answer:#?}");
    answer.body
}

/// Stops; the relay ends as cancelled and leaves nothing.
async fn cancels(stage: &Stage, relay: &Value) {
    let service = &stage.service;
    let (status, _) = service.stop_channel(42).await;
    assert_eq!(status, 202);
    let relay = service.in_phase(relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "cancelled");
    assert_eq!(relay["relay_status"], "stopped");
    settled(stage).await;
    assert_eq!(stage.count("SELECT COUNT(*) FROM stream_costs").await, 0);
}

async fn settled(stage: &Stage) {
    stage.settles().await;
    assert_eq!(violations(&stage.vendors), [""; 0]);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_stop_while_the_ingest_is_created_cancels_the_relay(#[case] backend: AgoraBackend) {
    let options = Options {
        create_latency: Duration::from_secs(30),
        ..options()
    };
    let stage = Stage::with(backend, options, |_| {}).await;
    let relay = start_without_waiting(&stage).await;
    assert_eq!(calls(&stage.vendors, VendorCall::LiveInputCreate).len(), 0);
    cancels(&stage, &relay).await;
    assert!(stage.vendors.state().egresses.is_empty(), "no egress began");
}

#[tokio::test]
async fn a_stop_while_the_resource_is_acquired_cancels_the_relay() {
    let options = Options {
        acquire_latency: Duration::from_secs(30),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |_| {}).await;
    let relay = start_without_waiting(&stage).await;
    vendors_when(&stage.vendors, "an ingest", |vendors| {
        (calls(vendors, VendorCall::LiveInputCreate).len() == 1).then_some(())
    })
    .await;
    assert_eq!(calls(&stage.vendors, VendorCall::Acquire).len(), 0);
    cancels(&stage, &relay).await;
    assert!(stage.vendors.state().egresses.is_empty(), "no egress began");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_stop_while_the_egress_is_started_cancels_the_relay(#[case] backend: AgoraBackend) {
    let options = Options {
        // 1.5 s for the request, 1.5 s for the answer.
        start_latency: Duration::from_secs(60),
        push_after: Duration::from_secs(300),
        converter_push_after: Duration::from_secs(300),
        ..options()
    };
    let stage = Stage::with(backend, options, |settings| {
        settings.vendors.write_timeout = Duration::from_secs(20);
    })
    .await;
    let relay = start_without_waiting(&stage).await;
    vendors_when(&stage.vendors, "an egress", |vendors| {
        (alive(vendors).len() == 1).then_some(())
    })
    .await;
    assert_eq!(calls(&stage.vendors, start_call(backend)).len(), 0);
    cancels(&stage, &relay).await;
    assert_eq!(stage.vendors.state().egresses.len(), 1);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_stop_before_the_feed_arrives_cancels_the_relay(#[case] backend: AgoraBackend) {
    let options = Options {
        push_after: Duration::from_secs(1200),
        converter_push_after: Duration::from_secs(1200),
        ..options()
    };
    let stage = Stage::with(backend, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(50);
    })
    .await;
    let (status, relay) = stage.service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201);
    assert_eq!(relay["phase"], "awaiting_live");
    cancels(&stage, &relay).await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_stop_while_interrupted_ends_the_relay(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.reconnect_window = Duration::from_secs(60);
    })
    .await;
    let service = &stage.service;
    let relay = service.go_live(42, &show("show68")).await;
    stage.vendors.set_seller("show68", Some(12345), false);
    service.in_phase(&relay, "interrupted").await;
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    settled(&stage).await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_repeated_stop_changes_nothing(#[case] backend: AgoraBackend) {
    let options = Options {
        recording_ready_after: Duration::from_secs(80),
        ..options()
    };
    let stage = Stage::with(backend, options, |settings| {
        settings.relay.recording_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    vendors.fault(VendorFault::once(stop_call(backend), FaultKind::Hang));
    assert_eq!(service.stop_channel(42).await.0, 202);
    let again = async |phase: &str| {
        let relay = service.in_phase(&relay, phase).await;
        let (status, answer) = service.stop_channel(42).await;
        assert_eq!((status.as_u16(), &answer["id"]), (200, &relay["id"]));
        assert_eq!(answer["outcome"], relay["outcome"]);
    };
    again("stopping").await;
    again("finalizing").await;
    again("ended").await;
    let events = service
        .get(&format!(
            "/v1/relays/{}/events?limit=200",
            relay["id"].as_str().unwrap()
        ))
        .await;
    let endings = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == "ending");
    assert_eq!(endings.count(), 1, "{events:#}");
    settled(&stage).await;
}

#[tokio::test]
async fn a_stop_of_an_unknown_channel_is_not_found() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let answer = stage.service.post(STOP, &[], &json!({})).await;
    answer.is_problem(404, "not-found");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_start_right_after_a_stop_has_its_ingest_at_once_and_its_egress_after_the_old_one(
    #[case] backend: AgoraBackend,
) {
    let stage = Stage::new(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    // The second attempt of its stop is answered three seconds later.
    vendors.fault(VendorFault::once(stop_call(backend), FaultKind::Hang));
    assert_eq!(service.stop_channel(42).await.0, 202);
    let second = start_without_waiting(&stage).await;
    assert_ne!(first["id"], second["id"]);
    vendors_when(vendors, "a second ingest", |vendors| {
        (vendors.state().live_inputs.len() == 2).then_some(())
    })
    .await;
    assert_eq!(
        calls(vendors, stop_call(backend))
            .iter()
            .filter(|call| call.status.is_some())
            .count(),
        0,
        "the old egress's stop is not answered yet"
    );
    service.in_phase(&second, "live").await;
    let stopped = calls(vendors, stop_call(backend))
        .iter()
        .find(|call| call.status == Some(200))
        .unwrap()
        .at;
    let starts = calls(vendors, start_call(backend));
    assert_eq!(starts.len(), 2, "{starts:#?}");
    assert!(starts[1].at > stopped, "{starts:#?} {stopped}");
    service.in_phase(&first, "ended").await;
    service.come_down(42).await;
    settled(&stage).await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn concurrent_starts_give_one_relay_and_one_ingest(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let body = show("show68");
    let answers = join_all((0..8).map(|_| service.post(START, &[], &body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    let id = &answers[0].body["id"];
    assert!(answers.iter().all(|answer| answer.body["id"] == *id));
    service.in_phase(&answers[0].body, "live").await;
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 1));
    assert_eq!(calls(vendors, VendorCall::LiveInputCreate).len(), 1);
    service.come_down(42).await;
    settled(&stage).await;
}

#[tokio::test]
async fn a_late_duplicate_of_an_old_stop_never_stops_the_next_relay() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    let first = service.go_live(42, &show("show68")).await;
    let old = json!({ "relay_id": first["id"] });
    assert_eq!(service.post(STOP, &[], &old).await.status, 202);
    let second = service.go_live(42, &show("show68")).await;
    let late = service.post(STOP, &[], &old).await;
    assert_eq!((late.status, &late.body["id"]), (200, &first["id"]));
    let unknown = json!({ "relay_id": "0192f0c4-0000-7000-8000-000000000000" });
    let answer = service.post(STOP, &[], &unknown).await;
    answer.is_problem(404, "not-found");
    let other = service.go_live(43, &show("show70")).await;
    let others = json!({ "relay_id": other["id"] });
    let answer = service.post(STOP, &[], &others).await;
    answer.is_problem(404, "not-found");
    for relay in [&second, &other] {
        let relay = service.relay_when(relay, "read", |_| true).await;
        assert_eq!(relay["phase"], "live");
    }
    let named = json!({ "relay_id": second["id"] });
    assert_eq!(service.post(STOP, &[], &named).await.status, 202);
    service.in_phase(&second, "ended").await;
}

#[tokio::test]
async fn a_repeated_key_starts_nothing_new_even_when_its_relay_has_ended() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    let key = [("Idempotency-Key", "order-1")];
    let body = show("show68");
    let first = service.post(START, &key, &body).await;
    assert_eq!(first.status, 201);
    let again = service.post(START, &key, &body).await;
    assert_eq!((again.status, &again.body["id"]), (200, &first.body["id"]));
    let other = service.post(START, &key, &show("show69")).await;
    other.is_problem(422, "idempotency-mismatch");
    service.in_phase(&first.body, "live").await;
    service.come_down(42).await;
    let after = service.post(START, &key, &body).await;
    assert_eq!(
        (after.status, &after.body["id"], &after.body["phase"]),
        (200, &first.body["id"], &json!("ended"))
    );
    assert_eq!(stage.count("SELECT COUNT(*) FROM relays").await, 1);
    assert_eq!(stage.vendors.state().live_inputs.len(), 1);
}

#[tokio::test]
async fn a_repeated_stop_with_its_key_never_stops_the_next_relay() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    let first = service.go_live(42, &show("show68")).await;
    let key = [("Idempotency-Key", "stop-1")];
    assert_eq!(service.post(STOP, &key, &json!({})).await.status, 202);
    let second = service.go_live(42, &show("show68")).await;
    let again = service.post(STOP, &key, &json!({})).await;
    assert_eq!((again.status, &again.body["id"]), (200, &first["id"]));
    let other = json!({ "relay_id": second["id"] });
    let mismatch = service.post(STOP, &key, &other).await;
    mismatch.is_problem(422, "idempotency-mismatch");
    let named = [("Idempotency-Key", "stop-2")];
    let first_id = first["id"].as_str().unwrap();
    for id in [first_id.to_owned(), first_id.to_uppercase()] {
        let body = json!({ "relay_id": id });
        assert_eq!(service.post(STOP, &named, &body).await.status, 200, "{id}");
    }
    let second = service.relay_when(&second, "read", |_| true).await;
    assert_eq!(second["phase"], "live");
}

#[rstest]
#[case::whose_relay_never_reached_a_vendor(
    "UPDATE relays SET state = json_set(state, '$.outcome.detail.untried', json('true'))",
    200
)]
#[case::whose_relay_is_gone("DELETE FROM relays", 404)]
#[tokio::test]
async fn a_repeated_stop_never_stops_the_next_relay(#[case] sql: &str, #[case] status: u16) {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    let key = [("Idempotency-Key", "stop-1")];
    assert_eq!(service.post(STOP, &key, &json!({})).await.status, 200);
    stage.database.raw().await.execute(sql).await;
    let second = service.go_live(42, &show("show68")).await;
    for _ in 0..2 {
        let again = service.post(STOP, &key, &json!({})).await;
        assert_eq!(again.status, status, "{again:#?}");
    }
    let second = service.relay_when(&second, "read", |_| true).await;
    assert_eq!(second["phase"], "live");
}

#[tokio::test]
async fn a_start_with_wait_0_is_answered_at_once() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let service = &stage.service;
    let answer = service
        .post(START, &[("Prefer", "wait=0")], &show("show68"))
        .await;
    assert_eq!(answer.status, 202);
    assert!(!answer.header("retry-after").is_empty());
    let location = answer.header("location").to_owned();
    assert_eq!(answer.header("preference-applied"), "wait=0");
    let relay = service.get(&location).await;
    assert_eq!(relay["id"], answer.body["id"]);
    service.in_phase(&relay, "live").await;
}

#[tokio::test]
async fn a_waiting_start_whose_relay_is_stopped_answers_with_that_relay() {
    let options = Options {
        start_latency: Duration::from_secs(40),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |_| {}).await;
    let service = &stage.service;
    let body = show("show68");
    let (answer, ()) = tokio::join!(service.post(START, &[], &body), async {
        vendors_when(&stage.vendors, "an ingest", |vendors: &SimulatedVendors| {
            (!vendors.state().live_inputs.is_empty()).then_some(())
        })
        .await;
        assert_eq!(service.stop_channel(42).await.0, 202);
    });
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert_eq!(answer.body["outcome"]["code"], "cancelled");
    service.in_phase(&answer.body, "ended").await;
    settled(&stage).await;
}
