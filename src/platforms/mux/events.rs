//! Mux's webhooks (`mux.md §5`).

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::NAME;
use crate::platforms::HeaderOf;
use crate::relay::{Hint, Notice, ResourceTag, Subject};
use crate::vendors::{Notification, Refused, hmac_hex, json_of, same, text, unverified};

const WINDOW: TimeDelta = TimeDelta::seconds(300);

/// The secrets of the environment's webhooks: each webhook has its own.
#[derive(Debug)]
pub(super) struct MuxWebhookSecrets(Vec<SecretString>);

impl MuxWebhookSecrets {
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let set = |secret: &&SecretString| !secret.expose_secret().is_empty();
        Self(secrets.iter().filter(set).cloned().collect())
    }

    pub(super) fn verify(
        &self,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, Refused> {
        let signature = header("mux-signature");
        let signature = signature.and_then(|text| std::str::from_utf8(text).ok());
        let proven = signature.is_some_and(|signature| self.is_signed(signature, body, now));
        if !proven {
            // Mux documents no test message.
            return Err(unverified(body, !self.0.is_empty(), |_| false));
        }
        let event = json_of(body)?;
        let id = text(&event, "/id");
        Ok(Notification {
            id: (!id.is_empty()).then(|| id.to_owned()),
            notices: notice(&event).into_iter().collect(),
        })
    }

    /// `Mux-Signature: t=…,v1=…`, with any number of `v1` (`mux.md §5.1`).
    fn is_signed(&self, header: &str, body: &[u8], now: DateTime<Utc>) -> bool {
        let parts = || {
            let parts = header.split(',');
            parts.filter_map(|part| part.trim().split_once('='))
        };
        let Some(time) = parts().find(|(key, _)| *key == "t").map(|(_, time)| time) else {
            return false;
        };
        let signed_at = time
            .parse()
            .ok()
            .and_then(|time| DateTime::from_timestamp(time, 0));
        if signed_at.is_none_or(|at| (now - at).abs() > WINDOW) {
            return false;
        }
        self.0.iter().any(|secret| {
            let expected = hmac_hex(secret, &[time.as_bytes(), b".", body]);
            let mut given = parts().filter(|(key, _)| *key == "v1");
            given.any(|(_, given)| bool::from(same(&expected, given)))
        })
    }
}

/// Unknown events are about nothing of ours.
fn notice(event: &Value) -> Option<Notice> {
    let kind = text(event, "/type");
    let data = |name| text(event, name);
    let (subject, hint) = match kind {
        "video.live_stream.connected"
        | "video.live_stream.recording"
        | "video.live_stream.active" => (data("/data/id"), Hint::FeedConnected),
        "video.live_stream.disconnected"
        | "video.live_stream.idle"
        | "video.live_stream.disabled"
        | "video.live_stream.deleted" => (data("/data/id"), Hint::FeedDisconnected),
        "video.asset.ready" | "video.asset.errored" | "video.asset.live_stream_completed" => {
            (data("/data/live_stream_id"), Hint::RecordingDone)
        }
        _ => return None,
    };
    // `ready` while the broadcast goes on says nothing about its end (`mux.md §4.2`).
    let is_live = event.pointer("/data/is_live").and_then(Value::as_bool);
    if kind == "video.asset.ready" && is_live == Some(true) {
        return None;
    }
    let subject = match subject {
        "" => Subject::Tag(data("/data/passthrough").parse::<ResourceTag>().ok()?),
        id => Subject::ingest(NAME, id),
    };
    let at = DateTime::parse_from_rfc3339(data("/created_at")).ok();
    Some(Notice {
        at: at.map(|at| at.to_utc()),
        ..Notice::new(subject, hint)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn secrets() -> MuxWebhookSecrets {
        MuxWebhookSecrets::new(&["".into(), "old".into(), "new".into()])
    }

    fn verify(header: &str, body: &[u8]) -> Result<Notification, Refused> {
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let given = |name: &str| (name == "mux-signature").then_some(header.as_bytes());
        secrets().verify(&given, body, now)
    }

    fn signed(secret: &str, at: i64, body: &[u8]) -> String {
        let at = at.to_string();
        hmac_hex(&secret.into(), &[at.as_bytes(), b".", body])
    }

    fn event(kind: &str, data: Value) -> Vec<u8> {
        let event = json!({"type": kind, "id": "e1", "created_at": "2026-11-28T10:00:00.000Z", "data": data});
        event.to_string().into_bytes()
    }

    fn hint(kind: &str, data: Value) -> Option<(Subject, Hint)> {
        let body = event(kind, data);
        let header = format!("t={NOW},v1={}", signed("new", NOW, &body));
        let mut notification = verify(&header, &body).unwrap();
        assert_eq!(notification.id.as_deref(), Some("e1"));
        let notice = notification.notices.pop()?;
        assert!(notice.at.is_some());
        Some((notice.subject, notice.hint))
    }

    #[test]
    fn any_secret_and_any_signature_of_the_header_prove_a_webhook_for_five_minutes() {
        let body = b"{}";
        for (secret, at, is_good) in [
            ("old", NOW, true),
            ("new", NOW - 300, true),
            ("new", NOW - 301, false),
            ("new", NOW + 301, false),
            ("", NOW, false),
            ("other", NOW, false),
        ] {
            let v1 = signed(secret, at, body);
            let header = format!("t={at},v1={},v1={v1}", "0".repeat(64));
            assert_eq!(verify(&header, body).is_ok(), is_good, "{secret} {at}");
        }
        let good = signed("new", NOW, body);
        for header in [
            String::new(),
            format!("v1={good}"),
            format!("t={NOW}"),
            format!("t={NOW},v0={good}"),
            format!("t=x,v1={good}"),
        ] {
            assert_eq!(verify(&header, body), Err(Refused::Unverified), "{header}");
        }
        let off = MuxWebhookSecrets::new(&[]);
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        assert_eq!(
            off.verify(&|_: &str| None, body, now),
            Err(Refused::NoSecret)
        );
    }

    /// Computed with OpenSSL.
    #[test]
    fn the_signature_is_the_hmac_of_time_and_body() {
        let body = br#"{"type":"video.live_stream.active"}"#;
        assert_eq!(
            signed("SuperSecret", 1_565_125_718, body),
            "b3d0408b521cefb67f9b7c81b96d6aca142ea1caa97932c844e0d934e3857cb5"
        );
    }

    #[test]
    fn events_name_their_live_stream() {
        let ingest = || Subject::ingest(NAME, "s1");
        for (kind, expected) in [
            ("connected", Hint::FeedConnected),
            ("recording", Hint::FeedConnected),
            ("active", Hint::FeedConnected),
            ("disconnected", Hint::FeedDisconnected),
            ("idle", Hint::FeedDisconnected),
        ] {
            let kind = format!("video.live_stream.{kind}");
            let found = hint(&kind, json!({"id": "s1", "created_at": 1_609_937_654}));
            assert_eq!(found, Some((ingest(), expected)), "{kind}");
        }
        let asset = json!({"id": "a1", "live_stream_id": "s1"});
        for kind in [
            "video.asset.ready",
            "video.asset.errored",
            "video.asset.live_stream_completed",
        ] {
            assert_eq!(
                hint(kind, asset.clone()),
                Some((ingest(), Hint::RecordingDone))
            );
        }
        let live = json!({"id": "a1", "live_stream_id": "s1", "is_live": true});
        assert_eq!(hint("video.asset.ready", live), None);
        for other in [
            "video.upload.created",
            "robots.done",
            "video.live_stream.warning",
        ] {
            assert_eq!(hint(other, json!({"id": "s1"})), None, "{other}");
        }
        assert_eq!(hint("video.asset.ready", json!({"id": "a1"})), None);
    }
}
