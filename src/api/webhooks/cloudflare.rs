use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use super::signature::{is_secret, is_signed_by_cloudflare};
use super::{Notification, Received, Refused, accept, header, json_of, text, unverified};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::relay::{Hint, Notice, Subject};

/// In characters.
const REASON: usize = 300;

/// Cloudflare: live input events
///
/// The encoder connected, disconnected or was refused.
#[utoipa::path(
    post, path = "/webhooks/cloudflare/live", tag = "webhooks", operation_id = "cloudflareLive",
    security(("cloudflare_live_secret" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn live(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let secret = api.webhooks.cloudflare_live.as_ref();
    let notification = read_live(secret, request.headers(), &body);
    accept(&api, "cloudflare/live", &body, notification).await
}

/// Cloudflare: video events
///
/// A video is ready, or its processing failed.
#[utoipa::path(
    post, path = "/webhooks/cloudflare/stream", tag = "webhooks", operation_id = "cloudflareStream",
    security(("cloudflare_stream_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn stream(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let secret = api.webhooks.cloudflare_stream.as_ref();
    let notification = read_stream(secret, request.headers(), &body, api.now());
    accept(&api, "cloudflare/stream", &body, notification).await
}

/// Its notifications have no id (`cloudflare-stream.md §5.5, §5.7`).
fn read_live(
    secret: Option<&SecretString>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Notification, Refused> {
    let given = headers.get("cf-webhook-auth");
    let proven = secret
        .zip(given)
        .is_some_and(|(secret, given)| is_secret(given.as_bytes(), secret));
    if !proven {
        return Err(unverified(body, secret.is_some(), is_destination_test));
    }
    let event = json_of(body)?;
    let of = |name| text(&event, name);
    let (ingest, kind, at) = (
        of("/data/input_id"),
        of("/data/event_type"),
        of("/data/updated_at"),
    );
    let hint = match kind {
        "live_input.connected" => Some(Hint::FeedConnected),
        "live_input.disconnected" => Some(Hint::FeedDisconnected),
        "live_input.errored" => Some(Hint::FeedErrored {
            reason: reason(&event),
        }),
        _ => None,
    };
    let notice = hint.filter(|_| !ingest.is_empty()).map(|hint| Notice {
        at: time(at),
        ..Notice::new(Subject::Ingest(ingest.to_owned()), hint)
    });
    Ok(Notification {
        id: (!at.is_empty()).then(|| format!("{ingest}\n{kind}\n{at}")),
        notices: notice.into_iter().collect(),
    })
}

fn read_stream(
    secret: Option<&SecretString>,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Notification, Refused> {
    let signature = header(headers, "webhook-signature");
    let proven = secret.is_some_and(|secret| is_signed_by_cloudflare(signature, body, secret, now));
    if !proven {
        // Cloudflare documents no test of this address.
        return Err(unverified(body, secret.is_some(), |_| false));
    }
    let video = json_of(body)?;
    let ingest = match text(&video, "/liveInput") {
        "" => text(&video, "/liveInput/uid"),
        uid => uid,
    };
    let subject = (!ingest.is_empty()).then(|| Subject::Ingest(ingest.to_owned()));
    let notice = subject.map(|subject| Notice::new(subject, Hint::RecordingDone));
    Ok(Notification {
        id: None,
        notices: notice.into_iter().collect(),
    })
}

/// Cloudflare sends a test message when a destination is created.
fn is_destination_test(notice: &Value) -> bool {
    text(notice, "/text").starts_with("Hello World! This is a test message")
        && notice.get("data").is_none()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
}

fn reason(notice: &Value) -> String {
    let of = |name| text(notice, name).trim();
    let code = of("/data/live_input_errored/error/code");
    let message = of("/data/live_input_errored/error/message");
    let words = [code, message]
        .into_iter()
        .filter(|words| !words.is_empty());
    words
        .collect::<Vec<_>>()
        .join(": ")
        .chars()
        .take(REASON)
        .collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    const AT: &str = "2022-01-13T11:43:41.855717910Z";

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let header = (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        HeaderMap::from_iter([header])
    }

    fn live(event: &Value) -> Result<Notification, Refused> {
        let headers = headers("cf-webhook-auth", "secret");
        read_live(
            Some(&"secret".into()),
            &headers,
            event.to_string().as_bytes(),
        )
    }

    fn event(kind: &str) -> Value {
        json!({"name": "n", "text": "t", "ts": 1_642_074_233, "data": {
            "notification_name": "Stream Live Input", "input_id": "input", "event_type": kind, "updated_at": AT,
            "live_input_errored": {"error": {"code": "ERR_GOP_OUT_OF_RANGE", "message": "GOP of 12 s"}},
        }})
    }

    #[test]
    fn each_event_is_recognized_by_its_exact_name() {
        let reason = "ERR_GOP_OUT_OF_RANGE: GOP of 12 s".to_owned();
        for (kind, hint) in [
            ("live_input.connected", Hint::FeedConnected),
            ("live_input.disconnected", Hint::FeedDisconnected),
            ("live_input.errored", Hint::FeedErrored { reason }),
        ] {
            let notice = Notice {
                at: Some("2022-01-13T11:43:41.855717910Z".parse().unwrap()),
                ..Notice::new(Subject::Ingest("input".into()), hint)
            };
            let notification = Notification {
                id: Some(format!("input\n{kind}\n{AT}")),
                notices: vec![notice],
            };
            assert_eq!(live(&event(kind)), Ok(notification));
        }
        for unknown in [
            "live_input.reconnected",
            "connected",
            "LIVE_INPUT.CONNECTED",
            "",
        ] {
            assert_eq!(live(&event(unknown)).unwrap().notices, [], "{unknown}");
        }
    }

    #[test]
    fn an_event_without_an_ingest_or_a_time_is_accepted() {
        let nameless = json!({"data": {"event_type": "live_input.connected"}});
        let accepted = live(&nameless).unwrap();
        assert_eq!((accepted.id, accepted.notices), (None, Vec::new()));
    }

    #[test]
    fn the_test_message_of_a_new_destination_has_no_effect() {
        let hello = json!({"text": "Hello World! This is a test message sent from Cloudflare."});
        assert_eq!(live(&hello).unwrap().notices, []);
        let body = hello.to_string();
        for secret in [None, Some(&"secret".into())] {
            let read = read_live(secret, &HeaderMap::new(), body.as_bytes());
            assert_eq!(read, Err(Refused::Test));
        }
    }

    #[test]
    fn a_video_belongs_to_the_relay_of_its_ingest() {
        let now = Utc::now();
        let read = |video: Value| {
            let (body, secret) = (video.to_string(), "secret".into());
            let signature = signed(now, &body);
            let headers = headers("webhook-signature", &signature);
            let read = read_stream(Some(&secret), &headers, body.as_bytes(), now).unwrap();
            assert_eq!(read.id, None);
            read.notices
        };
        let done = || {
            [Notice::new(
                Subject::Ingest("input".into()),
                Hint::RecordingDone,
            )]
        };
        let video = json!({"uid": "v", "readyToStream": true, "liveInput": "input"});
        assert_eq!(read(video), done());
        assert_eq!(read(json!({"liveInput": {"uid": "input"}})), done());
        assert_eq!(read(json!({"uid": "v"})), []);
    }

    fn signed(now: DateTime<Utc>, body: &str) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
        let time = now.timestamp();
        mac.update(format!("{time}.{body}").as_bytes());
        format!(
            "time={time},sig1={}",
            hex::encode(mac.finalize().into_bytes())
        )
    }
}
