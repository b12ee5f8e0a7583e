//! Cloudflare's notifications (`cloudflare-stream.md §5`).

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::NAME;
use crate::config::CloudflareSettings;
use crate::platforms::HeaderOf;
use crate::relay::{Hint, Notice, Subject};
use crate::vendors::{Notification, Refused, hmac_hex, is_secret, json_of, same, text, unverified};

/// In characters.
const REASON: usize = 300;

/// The secrets of both webhooks; `None`: switched off.
#[derive(Debug)]
pub(super) struct WebhookSecrets {
    live: Option<SecretString>,
    stream: Option<SecretString>,
}

impl WebhookSecrets {
    pub(super) fn of(settings: &CloudflareSettings) -> Self {
        let set = |secret: &SecretString| !secret.expose_secret().is_empty();
        let one = |secret: &SecretString| Some(secret.clone()).filter(set);
        Self {
            live: one(&settings.live_webhook_secret),
            stream: one(&settings.stream_webhook_secret),
        }
    }

    /// `live`: the encoder connected, disconnected or was refused. `stream`: a video is ready, or its processing failed.
    pub(super) fn verify(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>> {
        match source {
            "live" => Some(read_live(self.live.as_ref(), header, body)),
            "stream" => Some(read_stream(self.stream.as_ref(), header, body, now)),
            _ => None,
        }
    }
}

/// Its notifications have no id (`cloudflare-stream.md §5.5, §5.7`).
fn read_live(
    secret: Option<&SecretString>,
    header: HeaderOf<'_, '_>,
    body: &[u8],
) -> Result<Notification, Refused> {
    // The secret itself (`cloudflare-stream.md §5.6`).
    let given = header("cf-webhook-auth");
    let proven = secret
        .zip(given)
        .is_some_and(|(secret, given)| is_secret(given, secret));
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
        ..Notice::new(Subject::ingest(NAME, ingest), hint)
    });
    Ok(Notification {
        id: (!at.is_empty()).then(|| format!("{ingest}\n{kind}\n{at}")),
        notices: notice.into_iter().collect(),
    })
}

fn read_stream(
    secret: Option<&SecretString>,
    header: HeaderOf<'_, '_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Notification, Refused> {
    let signature = header("webhook-signature");
    let signature = signature.and_then(|text| std::str::from_utf8(text).ok());
    let proven = secret
        .zip(signature)
        .is_some_and(|(secret, signature)| is_signed(signature, body, secret, now));
    if !proven {
        // Cloudflare documents no test of this address.
        return Err(unverified(body, secret.is_some(), |_| false));
    }
    let video = json_of(body)?;
    let ingest = match text(&video, "/liveInput") {
        "" => text(&video, "/liveInput/uid"),
        uid => uid,
    };
    let notice = (!ingest.is_empty())
        .then(|| Notice::new(Subject::ingest(NAME, ingest), Hint::RecordingDone));
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

const WINDOW: TimeDelta = TimeDelta::minutes(5);

/// `Webhook-Signature: time=…,sig1=…` (`cloudflare-stream.md §5.2`).
fn is_signed(header: &str, body: &[u8], secret: &SecretString, now: DateTime<Utc>) -> bool {
    let part = |name: &str| {
        let parts = header
            .split(',')
            .filter_map(|part| part.trim().split_once('='));
        parts
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    };
    let (Some(time), Some(signature)) = (part("time"), part("sig1")) else {
        return false;
    };
    let signed_at = time
        .parse()
        .ok()
        .and_then(|time| DateTime::from_timestamp(time, 0));
    let fresh = signed_at.is_some_and(|at| (now - at).abs() <= WINDOW);
    let expected = hmac_hex(secret, &[time.as_bytes(), b".", body]);
    fresh && bool::from(same(&expected, signature))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2022-01-13T11:43:41.855717910Z";

    fn header<'a>(known: &'a str, value: &'a str) -> impl Fn(&str) -> Option<&'a [u8]> + 'a {
        move |name| (name == known).then_some(value.as_bytes())
    }

    fn live(event: &Value) -> Result<Notification, Refused> {
        read_live(
            Some(&"secret".into()),
            &header("cf-webhook-auth", "secret"),
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
                ..Notice::new(Subject::ingest(NAME, "input"), hint)
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
            let read = read_live(secret, &|_| None, body.as_bytes());
            assert_eq!(read, Err(Refused::Test));
        }
    }

    #[test]
    fn a_video_belongs_to_the_relay_of_its_ingest() {
        let now = Utc::now();
        let read = |video: Value| {
            let (body, secret) = (video.to_string(), "secret".into());
            let signature = signed(now, &body);
            let header = header("webhook-signature", &signature);
            let read = read_stream(Some(&secret), &header, body.as_bytes(), now).unwrap();
            assert_eq!(read.id, None);
            read.notices
        };
        let done = || {
            [Notice::new(
                Subject::ingest(NAME, "input"),
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

    /// The vector of `cloudflare-stream.md §5.2`.
    const STREAM_BODY: &[u8] = br#"{"uid":"0123456789abcdef0123456789abcdef","readyToStream":true,"status":{"state":"ready"}}"#;
    const STREAM_HEADER: &str =
        "time=1700000000,sig1=a47633b017d53ea08fd1a3a065f3de2ec76b6382e2dacace79aa9e9a05fe2bd8";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn cloudflares_signature_holds_for_five_minutes_over_the_raw_body() {
        let secret: SecretString = "0123456789abcdef0123456789abcdef".into();
        let check =
            |header: &str, body: &[u8], seconds| is_signed(header, body, &secret, at(seconds));
        assert!(check(STREAM_HEADER, STREAM_BODY, 0));
        assert!(check(STREAM_HEADER, STREAM_BODY, 300));
        assert!(!check(STREAM_HEADER, STREAM_BODY, 301));
        assert!(!check(STREAM_HEADER, STREAM_BODY, -301));
        assert!(!check(STREAM_HEADER, b"{}", 0));
        assert!(!check(
            &STREAM_HEADER.replace("1700000000", "1700000001"),
            STREAM_BODY,
            0
        ));
        assert!(!check("time=1700000000", STREAM_BODY, 0));
        assert!(!check("", STREAM_BODY, 0));
        let other: SecretString = "other".into();
        assert!(!is_signed(STREAM_HEADER, STREAM_BODY, &other, at(0)));
    }

    #[test]
    fn cloudflares_other_secret_is_compared_whole() {
        let secret: SecretString = "s3cret".into();
        assert!(is_secret(b"s3cret", &secret));
        assert!(!is_secret(b"s3cre", &secret) && !is_secret(b"", &secret));
    }
}
