//! Verification of vendors' webhooks. The answer `starting` makes the vendor repeat a verified one.

use relaykeeper::config::Settings;
use serde_json::{Value, json};

use super::service::{problem, service, service_with};

/// From `agora.md §6.3`.
const AGORA_BODY: &str = r#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
const AGORA_SIGNATURE: &str = "6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99";
const AGORA_SHA1: &str = "033c62f40f687675f17f0f41f91a40c71c0f134c";

/// From `cloudflare-stream.md §5.2`: valid, but years old.
const STREAM_SECRET: &str = "0123456789abcdef0123456789abcdef";
const STREAM_BODY: &str =
    r#"{"uid":"0123456789abcdef0123456789abcdef","readyToStream":true,"status":{"state":"ready"}}"#;
const STREAM_SIGNATURE: &str =
    "time=1700000000,sig1=a47633b017d53ea08fd1a3a065f3de2ec76b6382e2dacace79aa9e9a05fe2bd8";

fn secrets(settings: &mut Settings) {
    settings.cloudflare.live_webhook_secret = "live-secret".into();
    settings.cloudflare.stream_webhook_secret = STREAM_SECRET.into();
    settings.agora.webhook_secrets = vec!["another".into(), "secret".into()];
}

#[tokio::test]
async fn a_webhook_without_a_secret_is_switched_off() {
    let service = service().await;
    for path in [
        "/webhooks/cloudflare/live",
        "/webhooks/cloudflare/stream",
        "/webhooks/agora",
    ] {
        let request = service
            .anonymous("POST", path)
            .header("cf-webhook-auth", "")
            .body("{}");
        problem(request, 404, "not-found").await;
    }
}

#[tokio::test]
async fn a_notification_of_agora_is_verified_with_any_of_the_secrets() {
    let service = service_with(secrets).await;
    let notify = |signature: &str, body: &str| {
        let request = service
            .anonymous("POST", "/webhooks/agora")
            .body(body.to_owned());
        request.header("Agora-Signature-V2", signature.to_owned())
    };
    problem(notify(AGORA_SIGNATURE, AGORA_BODY), 503, "starting").await;
    let spaced = format!("{AGORA_BODY} ");
    for (signature, body) in [
        (AGORA_SIGNATURE, spaced.as_str()),
        (AGORA_SHA1, AGORA_BODY),
        ("", AGORA_BODY),
        (&AGORA_SIGNATURE[1..], AGORA_BODY),
    ] {
        problem(notify(signature, body), 401, "unauthorized").await;
    }
    let first = service
        .anonymous("POST", "/webhooks/agora")
        .body(AGORA_BODY);
    problem(
        first.header("Agora-Signature", AGORA_SHA1),
        401,
        "unauthorized",
    )
    .await;
}

#[tokio::test]
async fn a_live_notification_of_cloudflare_is_verified_by_its_secret() {
    let service = service_with(secrets).await;
    let notify = |secret: &str, body: &Value| {
        let request = service
            .anonymous("POST", "/webhooks/cloudflare/live")
            .body(body.to_string());
        request.header("cf-webhook-auth", secret.to_owned())
    };
    let connected = json!({"data": {"input_id": "x", "event_type": "live_input.connected"}});
    problem(notify("live-secret", &connected), 503, "starting").await;
    for wrong in ["", "live-secre", "live-secret2", STREAM_SECRET] {
        problem(notify(wrong, &connected), 401, "unauthorized").await;
    }
    let broken = service
        .anonymous("POST", "/webhooks/cloudflare/live")
        .body("no JSON");
    problem(
        broken.header("cf-webhook-auth", "live-secret"),
        400,
        "invalid-request",
    )
    .await;
}

#[tokio::test]
async fn a_signature_of_cloudflares_video_webhook_is_valid_for_five_minutes() {
    let service = service_with(secrets).await;
    let notify = |signature: &str, body: &str| {
        let request = service
            .anonymous("POST", "/webhooks/cloudflare/stream")
            .body(body.to_owned());
        request.header("Webhook-Signature", signature.to_owned())
    };
    let now = chrono::Utc::now().timestamp();
    problem(
        notify(&signed(now - 290, STREAM_BODY), STREAM_BODY),
        503,
        "starting",
    )
    .await;
    problem(
        notify(&signed(now - 310, STREAM_BODY), STREAM_BODY),
        401,
        "unauthorized",
    )
    .await;
    problem(notify(STREAM_SIGNATURE, STREAM_BODY), 401, "unauthorized").await;
    let other = STREAM_BODY.replace("true", "false");
    problem(
        notify(&signed(now, STREAM_BODY), &other),
        401,
        "unauthorized",
    )
    .await;
    problem(notify("", STREAM_BODY), 401, "unauthorized").await;
}

fn signed(time: i64, body: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(STREAM_SECRET.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex = hex::encode(digest);
    format!("time={time},sig1={hex}")
}
