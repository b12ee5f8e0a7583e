//! Invalid requests, and the fields that their problems point at.

use rstest::rstest;
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::service::{ADMIN, API, pointers, problem, service};

fn body(change: impl FnOnce(&mut Value)) -> String {
    let mut body = json!({"channel_name": "show68", "seller_uid": 12345});
    change(&mut body);
    body.to_string()
}

#[rstest]
#[case(json!({}))]
#[case(json!({"enable_recording": false, "max_duration_seconds": 60, "delete_recording_after_days": null}))]
#[case(json!({"enable_recording": null, "max_duration_seconds": null}))]
#[case(json!({"channel_name": "..."}))]
#[case(json!({"enable_recording": true, "max_duration_seconds": 86400, "delete_recording_after_days": 1096}))]
#[case(json!({"seller_uid": 899_999_999}))]
#[case(json!({"seller_uid": 901_000_000}))]
#[case(json!({"seller_uid": 2_999_999_999_u32, "delete_recording_after_days": 30}))]
#[case(json!({"channel_name": " <&>=~,|{}_^[]@?;:-+()%$#!."}))]
#[tokio::test]
async fn a_valid_start_reaches_the_actors(#[case] more: Value) {
    let service = service().await;
    let text = body(|body| {
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
    });
    problem(service.start(text), 503, "starting").await;
}

#[rstest]
#[case("channel_name", json!(null))]
#[case("channel_name", json!(""))]
#[case("channel_name", json!("a/b"))]
#[case("channel_name", json!("."))]
#[case("channel_name", json!(".."))]
#[case("channel_name", json!("schön"))]
#[case("channel_name", json!("x".repeat(65)))]
#[case("channel_name", json!(68))]
#[case("seller_uid", json!(0))]
#[case("seller_uid", json!(-1))]
#[case("seller_uid", json!(4_294_967_296_u64))]
#[case::a_egresses("seller_uid", json!(900_000_000))]
#[case::the_last_egresses("seller_uid", json!(900_999_999))]
#[case::a_pages("seller_uid", json!(3_000_000_000_u32))]
#[case::the_last_pages("seller_uid", json!(4_294_967_295_u32))]
#[case("seller_uid", json!(1.5))]
#[case("seller_uid", json!("12345"))]
#[case("enable_recording", json!("yes"))]
#[case("max_duration_seconds", json!(59))]
#[case("max_duration_seconds", json!(86401))]
#[case("delete_recording_after_days", json!(29))]
#[case("delete_recording_after_days", json!(1097))]
#[case("delete_recording_after_days", json!("30"))]
#[case("channel_names", json!("typo"))]
#[tokio::test]
async fn an_invalid_field_is_pointed_at(#[case] field: &str, #[case] value: Value) {
    let service = service().await;
    let text = body(|body| body[field] = value);
    let refused = problem(service.start(text), 422, "invalid-request").await;
    assert_eq!(pointers(&refused), [format!("/{field}")]);
}

/// Readers disagree on which of duplicate keys counts.
#[rstest]
#[case(
    "/v1/channels/42/start",
    r#"{"channel_name":"show68","seller_uid":1,"seller_uid":2}"#
)]
#[case(
    "/v1/channels/42/start",
    r#"{"channel_name":"show68","seller_uid":1,"seller\u005fuid":1}"#
)]
#[case("/v1/channels/42/stop", r#"{"relay_id":null,"relay_id":null}"#)]
#[case(
    "/recorder/presence",
    r#"{"query":"x","present":true,"seq":1,"seq":2}"#
)]
#[tokio::test]
async fn a_key_that_is_given_twice_is_refused(#[case] path: &str, #[case] body: &'static str) {
    let service = service().await;
    let request = service.request("POST", path).body(body);
    let path = problem(request, 400, "invalid-request").await;
    assert!(!path.to_string().contains("seller"), "{path}");
}

#[tokio::test]
async fn all_mistakes_in_a_body_are_reported_at_once() {
    let service = service().await;
    let text = json!({"seller_uid": 0, "max_duration_seconds": 1, "a/b~c": 1}).to_string();
    let refused = problem(service.start(text), 422, "invalid-request").await;
    assert_eq!(
        pointers(&refused),
        [
            "/channel_name",
            "/seller_uid",
            "/max_duration_seconds",
            "/a~1b~0c"
        ]
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let service = service().await;
    for text in ["", "{", "channel_name=x", "{\"a\":1}x", "\u{0}"] {
        let refused = problem(service.start(text), 400, "invalid-request").await;
        assert_eq!(pointers(&refused), [""], "{text}");
    }
    for text in ["[]", "null", "\"x\"", "1"] {
        problem(service.start(text), 422, "invalid-request").await;
    }
    let deep = "[".repeat(50_000);
    problem(service.start(deep), 400, "invalid-request").await;
}

#[rstest]
#[case("/v1/channels/42/start", 422, "invalid-request")]
#[case("/v1/channels/42/stop", 503, "starting")]
#[case("/v1/webhooks/deliveries/1/redeliver", 503, "starting")]
#[case(
    "/admin/relays/0192f0c4-0000-7000-8000-000000000001/stop",
    503,
    "starting"
)]
#[case("/admin/sweep?dry_run=true", 503, "starting")]
#[tokio::test]
async fn a_null_body_counts_as_no_body(
    #[case] path: &str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let service = service().await;
    let post = service.anonymous("POST", path).bearer_auth(ADMIN);
    problem(post.body("null"), status, code).await;
}

#[tokio::test]
async fn a_body_may_begin_with_a_byte_order_mark() {
    let service = service().await;
    let text = format!("\u{feff}{}", body(|_| {}));
    problem(service.start(text), 503, "starting").await;
}

#[rstest]
#[case("gzip")]
#[case("X-Gzip")]
#[case("identity, br")]
#[tokio::test]
async fn a_compressed_body_is_refused_with_the_accepted_codings(#[case] coding: &str) {
    let service = service().await;
    let coded = || {
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0".to_vec();
        service.start(gzip).header("content-encoding", coding)
    };
    problem(coded(), 415, "invalid-request").await;
    let answer = coded().send().await.unwrap();
    assert_eq!(answer.headers()["accept-encoding"], "identity");
    let query = service.request("GET", "/trpc/streaming.healthCheck");
    let query = query.header("content-encoding", coding).send();
    let query = query.await.unwrap();
    assert_eq!(query.status(), 415);
    assert_eq!(query.headers()["accept-encoding"], "identity");
    let query: serde_json::Value = query.json().await.unwrap();
    assert_eq!(query["error"]["data"]["code"], "UNSUPPORTED_MEDIA_TYPE");
    for plain in ["identity", "utf-8", ""] {
        let plain = service
            .start(body(|_| {}))
            .header("content-encoding", plain);
        problem(plain, 503, "starting").await;
    }
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_too_large() {
    let service = service().await;
    let padded = |size: usize| {
        let text = body(|_| {});
        let spaces = " ".repeat(size - text.len());
        format!("{text}{spaces}")
    };
    problem(service.start(padded(65_536)), 503, "starting").await;
    problem(service.start(padded(65_537)), 413, "too-large").await;
    problem(
        service
            .anonymous("POST", "/webhooks/agora")
            .body(padded(65_537)),
        413,
        "too-large",
    )
    .await;
}

#[tokio::test]
async fn a_chunked_body_has_the_same_limit() {
    let service = service().await;
    let address = service.base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1000));
    let request = format!(
        "POST /v1/channels/42/start HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API}\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(70)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[rstest]
#[case("0")]
#[case("-1")]
#[case("9007199254740992")]
#[case("abc")]
#[case("1.0")]
#[case("%31x")]
#[tokio::test]
async fn a_channel_id_is_an_integer_up_to_2_to_the_53(#[case] id: &str) {
    let service = service().await;
    for (method, rest) in [
        ("POST", "/start"),
        ("POST", "/stop"),
        ("GET", ""),
        ("GET", "/playback"),
        ("GET", "/relays"),
    ] {
        let request = service
            .request(method, &format!("/v1/channels/{id}{rest}"))
            .body(body(|_| {}));
        let refused = problem(request, 400, "invalid-request").await;
        assert_eq!(pointers(&refused), ["/channel_id"]);
    }
}

#[tokio::test]
async fn a_stop_may_name_a_relay() {
    let service = service().await;
    let stop = |text: &str| {
        service
            .request("POST", "/v1/channels/42/stop")
            .body(text.to_owned())
    };
    for text in [
        "",
        "{}",
        "null",
        "\u{feff}{}",
        "{\"relay_id\":null}",
        "{\"relay_id\":\"0192f0c4-0000-7000-8000-000000000001\"}",
    ] {
        problem(stop(text), 503, "starting").await;
    }
    for text in ["{\"relay_id\":7}", "{\"relay_id\":\"x\"}"] {
        let refused = problem(stop(text), 422, "invalid-request").await;
        assert_eq!(pointers(&refused), ["/relay_id"], "{text}");
    }
    let refused = problem(stop("{\"relay\":1}"), 422, "invalid-request").await;
    assert_eq!(pointers(&refused), ["/relay"]);
    problem(stop("["), 400, "invalid-request").await;
}

#[tokio::test]
async fn an_idempotency_key_is_1_to_255_visible_characters() {
    let service = service().await;
    let keyed = |path: &str, key: String| {
        let request = service.request("POST", path).body(body(|_| {}));
        request.header("idempotency-key", key)
    };
    let start = "/v1/channels/42/start";
    problem(keyed(start, "k".repeat(255)), 503, "starting").await;
    for bad in [String::new(), "k".repeat(256), "two words".to_owned()] {
        let refused = problem(keyed(start, bad), 400, "invalid-request").await;
        assert_eq!(pointers(&refused), ["/Idempotency-Key"]);
    }
    let stop = service
        .request("POST", "/v1/channels/42/stop")
        .header("idempotency-key", "a b");
    problem(stop, 400, "invalid-request").await;
}

#[tokio::test]
async fn an_operators_stop_names_a_relay() {
    let service = service().await;
    let stop = |id: &str| {
        let path = format!("/admin/relays/{id}/stop");
        service.anonymous("POST", &path).bearer_auth(ADMIN)
    };
    problem(
        stop("0192f0c4-0000-7000-8000-000000000001"),
        503,
        "starting",
    )
    .await;
    problem(stop("42"), 400, "invalid-request").await;
}

#[tokio::test]
async fn a_sweep_with_an_invalid_dry_run_is_refused() {
    let service = service().await;
    for half in ["dry_run=", "dry_run", "dry_run=1", "dry_run=True"] {
        let path = format!("/admin/sweep?{half}");
        let sweep = service.anonymous("POST", &path).bearer_auth(ADMIN);
        let refused = problem(sweep, 400, "invalid-request").await;
        assert_eq!(pointers(&refused), ["/dry_run"], "{half}");
    }
}
