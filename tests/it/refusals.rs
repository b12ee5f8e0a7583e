//! Starts that fail.
#![cfg(feature = "sandbox")]

mod keys;

use std::time::{Duration, Instant};

use crate::support::service::{
    Answer, BACKENDS, Stage, calls, nothing_is_left, options, show, until_nothing_is_left,
};
use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::{FaultKind, Options, Quotas, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const START: &str = "/v1/channels/42/start";

/// Starts a relay; the start is refused, and nothing is left.
async fn is_refused(stage: &Stage, status: u16, code: &str) -> Answer {
    let (vendors, service) = (&stage.vendors, &stage.service);
    let answer = service.post(START, &[], &show("show68")).await;
    answer.is_problem(status, code);
    let relay = json!({ "id": answer.body["relay_id"] });
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["relay_status"], "failed");
    assert_eq!(relay["outcome"]["code"], code.replace('-', "_"));
    assert_eq!(relay["cost"], Value::Null);
    until_nothing_is_left(vendors).await;
    answer
}

/// The vendor recovers: nothing is left at it.
async fn recovers(stage: &Stage, refused: &Answer) {
    stage.vendors.clear_faults();
    let relay = json!({ "id": refused.body["relay_id"] });
    stage.service.in_phase(&relay, "ended").await;
    until_nothing_is_left(&stage.vendors).await;
}

async fn stage(backend: AgoraBackend, change: impl FnOnce(&mut Settings)) -> Stage {
    Stage::with(backend, options(), |settings| {
        settings.relay.provisioning_timeout = Duration::from_secs(3);
        settings.relay.start_wait = Duration::from_secs(25);
        change(settings);
    })
    .await
}

fn start_call(backend: AgoraBackend, at_agora: bool) -> VendorCall {
    match backend {
        _ if !at_agora => VendorCall::LiveInputCreate,
        AgoraBackend::CloudRecording => VendorCall::Acquire,
        AgoraBackend::MediaPush => VendorCall::ConverterCreate,
    }
}

const WRONG: &str = "a-wrong-credential";

/// Long before the provisioning timeout.
async fn is_reported_at_once(stage: &Stage, vendor: &str) {
    let asked = Instant::now();
    let answer = is_refused(stage, 502, "vendor-unauthorized").await;
    assert!(asked.elapsed() < Duration::from_secs(60));
    let body = answer.body.to_string();
    assert!(body.contains(vendor) && !body.contains(WRONG), "{body}");
    assert!(stage.vendors.state().egresses.is_empty());
}

fn wait_for_long(settings: &mut Settings) {
    settings.relay.provisioning_timeout = Duration::from_secs(600);
    settings.relay.start_wait = Duration::from_secs(60);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_token_cloudflare_does_not_know_is_reported_at_once(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.cloudflare.api_token = WRONG.into();
        wait_for_long(settings);
    })
    .await;
    is_reported_at_once(&stage, "cloudflare").await;
    assert!(stage.vendors.state().live_inputs.is_empty());
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_secret_agora_does_not_know_is_reported_at_once(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.agora.customer_secret = WRONG.into();
        wait_for_long(settings);
    })
    .await;
    is_reported_at_once(&stage, "agora").await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_single_refusal_or_a_foreign_page_ends_no_start(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let egress = match backend {
        AgoraBackend::CloudRecording => [VendorCall::Acquire, VendorCall::Start],
        AgoraBackend::MediaPush => [VendorCall::ConverterCreate; 2],
    };
    let mut channel = 0;
    for call in [VendorCall::LiveInputCreate].into_iter().chain(egress) {
        for (kind, times) in [
            (FaultKind::Page(403), 2),
            (FaultKind::Page(401), 1),
            (FaultKind::Status(403, None), 1),
            (FaultKind::Status(401, None), 1),
        ] {
            channel += 1;
            let fault = VendorFault::once(call, kind);
            let times = Some(times);
            stage.vendors.fault(VendorFault {
                times,
                ..fault.clone()
            });
            let body = show(&format!("show{channel}"));
            let (status, relay) = stage.service.start_channel(channel, &body).await;
            assert_eq!(status, 201, "{fault:?} {relay:#}");
        }
    }
    for channel in 1..=channel {
        stage.service.come_down(channel).await;
    }
    assert!(nothing_is_left(&stage.vendors));
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_exhausted_quota_is_reported(#[case] backend: AgoraBackend) {
    let options = Options {
        quotas: Quotas {
            max_egresses: 0,
            max_converters: 0,
            ..Quotas::default()
        },
        ..options()
    };
    let stage = Stage::with(backend, options, |_| {}).await;
    let answer = is_refused(&stage, 503, "vendor-quota").await;
    assert!(!answer.header("retry-after").is_empty());
    let detail = answer.body["detail"].as_str().unwrap().to_lowercase();
    assert!(
        detail.contains("over_load") || detail.contains("quota limit"),
        "{detail}"
    );
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_lasting_rate_limit_is_reported_with_retry_after(
    #[case] backend: AgoraBackend,
    #[values(false, true)] at_agora: bool,
) {
    let stage = stage(backend, |_| {}).await;
    let call = start_call(backend, at_agora);
    stage
        .vendors
        .fault(VendorFault::forever(call, FaultKind::Status(429, Some(1))));
    let answer = is_refused(&stage, 503, "vendor-rate-limited").await;
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_rate_limit_that_lifts_in_time_only_delays_the_start(
    #[case] backend: AgoraBackend,
    #[values(false, true)] at_agora: bool,
) {
    let stage = Stage::new(backend).await;
    let call = start_call(backend, at_agora);
    stage
        .vendors
        .fault(VendorFault::once(call, FaultKind::Status(429, Some(1))));
    let relay = stage.service.go_live(42, &show("show68")).await;
    assert_eq!(relay["outcome"], Value::Null);
    stage.service.come_down(42).await;
    assert!(nothing_is_left(&stage.vendors));
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_vendor_that_is_down_is_reported_and_everything_is_cleaned_up(
    #[case] backend: AgoraBackend,
    #[values(false, true)] at_agora: bool,
    #[values(FaultKind::Refuse, FaultKind::Status(503, None))] kind: FaultKind,
) {
    let stage = stage(backend, |_| {}).await;
    let call = start_call(backend, at_agora);
    stage.vendors.fault(VendorFault::forever(call, kind));
    let service = &stage.service;
    let answer = service.post(START, &[], &show("show68")).await;
    answer.is_problem(503, "vendor-unavailable");
    assert!(!answer.header("retry-after").is_empty());
    recovers(&stage, &answer).await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_vendor_that_never_answers_is_reported_as_a_timeout(#[case] backend: AgoraBackend) {
    let stage = stage(backend, |settings| {
        settings.vendors.write_timeout = Duration::from_millis(500);
    })
    .await;
    let hangs = VendorFault::forever(start_call(backend, true), FaultKind::Hang);
    stage.vendors.fault(hangs);
    let service = &stage.service;
    let answer = service.post(START, &[], &show("show68")).await;
    answer.is_problem(504, "vendor-timeout");
    assert!(!answer.header("retry-after").is_empty());
    recovers(&stage, &answer).await;
}

#[tokio::test]
async fn a_second_start_with_another_name_or_seller_is_a_conflict_that_names_the_relay() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    let relay = service.go_live(42, &show("show68")).await;
    let mut other_seller = show("show68");
    other_seller["seller_uid"] = json!(777);
    for body in [show("show69"), other_seller] {
        let answer = service.post(START, &[], &body).await;
        answer.is_problem(409, "conflict");
        assert_eq!(answer.body["relay_id"], relay["id"]);
        assert_eq!(answer.body["relay"]["id"], relay["id"]);
    }
    let mut other_options = show("show68");
    other_options["max_duration_seconds"] = json!(61);
    let same = service.post(START, &[], &other_options).await;
    assert_eq!((same.status, &same.body["id"]), (200, &relay["id"]));
    assert_eq!(calls(&stage.vendors, VendorCall::LiveInputCreate).len(), 1);
    assert_eq!(stage.count("SELECT COUNT(*) FROM relays").await, 1);
}

/// With the JSON pointer of the error.
fn invalid_bodies() -> Vec<(Value, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut body = show("show68");
        body[name] = value;
        body
    };
    let mut bodies = vec![
        (json!({}), "/channel_name"),
        (json!({ "channel_name": "show68" }), "/seller_uid"),
        (json!({ "seller_uid": 12345 }), "/channel_name"),
        (json!([]), ""),
        (json!("show68"), ""),
        (json!(null), ""),
        (with("colour", json!("red")), "/colour"),
        (with("enable_recording", json!("yes")), "/enable_recording"),
        (with("enable_recording", json!(1)), "/enable_recording"),
    ];
    let names = [
        json!(""),
        json!("a".repeat(65)),
        json!("sh\u{f8}w"),
        json!("show/68"),
        json!("show\n"),
        json!("show\u{0}"),
        json!(68),
        json!(null),
        json!(["show68"]),
    ];
    bodies.extend(names.map(|name| (with("channel_name", name), "/channel_name")));
    let uids = [
        json!(0),
        json!(-1),
        json!(4_294_967_296_u64),
        json!(1.5),
        json!("12345"),
        json!(null),
        json!(true),
    ];
    bodies.extend(uids.map(|uid| (with("seller_uid", uid), "/seller_uid")));
    let durations = [
        json!(59),
        json!(86_401),
        json!(-1),
        json!("2h"),
        json!(90.5),
    ];
    bodies.extend(durations.map(|seconds| {
        (
            with("max_duration_seconds", seconds),
            "/max_duration_seconds",
        )
    }));
    let days = [json!(29), json!(1097), json!(0), json!("30"), json!(30.5)];
    bodies.extend(days.map(|days| {
        (
            with("delete_recording_after_days", days),
            "/delete_recording_after_days",
        )
    }));
    bodies
}

#[tokio::test]
async fn invalid_input_is_reported_by_its_place_calls_no_vendor_and_stores_nothing() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    for (body, pointer) in invalid_bodies() {
        let answer = service.post(START, &[], &body).await;
        answer.is_problem(422, "invalid-request");
        let errors = answer.body["errors"].as_array().unwrap();
        assert!(
            errors.iter().any(|error| error["pointer"] == pointer),
            "{body}: {errors:#?}"
        );
    }
    // All errors are reported at once.
    let all =
        json!({ "channel_name": "", "seller_uid": 0, "max_duration_seconds": 1, "colour": "red" });
    let answer = service.post(START, &[], &all).await;
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(4));

    for channel in ["0", "-1", "9007199254740992", "x", "1.5", "%20", "042"] {
        let path = format!("/v1/channels/{channel}/start");
        let answer = service.post(&path, &[], &show("show68")).await;
        answer.is_problem(400, "invalid-request");
    }
    for text in ["", "{", "{\"channel_name\":\"show68\",", "\u{0}", "no"] {
        let request = service.request(Method::POST, START);
        let request = request.header("content-type", "application/json");
        let answer = Answer::to(request.body(text)).await;
        answer.is_problem(400, "invalid-request");
    }
    let huge = show(&"a".repeat(100_000));
    let answer = service.post(START, &[], &huge).await;
    answer.is_problem(413, "too-large");
    for key in ["", &"k".repeat(256)] {
        let answer = service
            .post(START, &[("Idempotency-Key", key)], &show("show68"))
            .await;
        answer.is_problem(400, "invalid-request");
    }
    for (method, path, status, code) in [
        (Method::GET, START, 405, "method-not-allowed"),
        (Method::DELETE, "/v1/relays", 405, "method-not-allowed"),
        (Method::GET, "/v1/relays/x", 400, "invalid-request"),
        (Method::GET, "/v1/relays?limit=0", 400, "invalid-request"),
        (Method::GET, "/v1/relays?phase=x", 400, "invalid-request"),
        (Method::GET, "/v1/relays?cursor=x", 400, "invalid-request"),
        (Method::GET, "/v1/relays?colour=red", 400, "invalid-request"),
        (Method::GET, "/v1/costs?from=x", 400, "invalid-request"),
        (Method::GET, "/v1/nothing", 404, "not-found"),
    ] {
        let answer = Answer::to(service.request(method.clone(), path)).await;
        answer.is_problem(status, code);
        if status == 405 {
            assert!(!answer.header("allow").is_empty(), "{method} {path}");
        }
    }
    let stop = json!({ "relay_id": "x" });
    let answer = service.post("/v1/channels/42/stop", &[], &stop).await;
    answer.is_problem(422, "invalid-request");

    let stranger = reqwest::Client::new().post(format!("{}{START}", service.url));
    let answer = Answer::to(stranger.json(&show("show68"))).await;
    answer.is_problem(401, "unauthorized");
    assert!(!answer.header("www-authenticate").is_empty());
    let stranger = reqwest::Client::new().post(format!("{}{START}", service.url));
    let stranger = stranger.bearer_auth("not-a-token").json(&show("show68"));
    Answer::to(stranger).await.is_problem(401, "unauthorized");
    let marketplace = service.request(Method::GET, "/admin/actors");
    Answer::to(marketplace).await.is_problem(403, "forbidden");

    let called: Vec<&str> = vendors
        .state()
        .calls
        .iter()
        .map(|call| call.call)
        // The janitor's round.
        .filter(|call| !call.contains(".list"))
        .collect();
    assert_eq!(called, [""; 0]);
    for table in [
        "relays",
        "channels",
        "outbox",
        "idempotency_keys",
        "cleanup_jobs",
    ] {
        assert_eq!(
            stage.count(&format!("SELECT COUNT(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    assert!(vendors.state().live_inputs.is_empty());
}

#[tokio::test]
async fn a_name_of_every_character_that_agora_allows_goes_live() {
    let name = "a Z0!#$%&()+-:;<=.>?@[]^_{}|~,";
    for backend in BACKENDS {
        let stage = Stage::new(backend).await;
        let service = &stage.service;
        let relay = service.go_live(42, &show(name)).await;
        assert_eq!(relay["channel_name"], name);
        service.come_down(42).await;
        assert!(nothing_is_left(&stage.vendors));
    }
}
