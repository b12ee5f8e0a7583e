//! EventBridge's events about IVS, sent by an API destination (`ivs.md §5`).

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::NAME;
use super::arn::is_channel;
use crate::platforms::HeaderOf;
use crate::relay::{Hint, Notice, ResourceTag, Subject};
use crate::vendors::{Notification, Refused, is_secret, json_of, text, unverified};

/// Nothing is signed: the header holds the secret itself.
const HEADER: &str = "x-relaykeeper-secret";
/// In characters.
const REASON: usize = 300;

/// The secret of the API destination's connection; `None`: switched off.
#[derive(Debug)]
pub(super) struct EventSecret(Option<SecretString>);

impl EventSecret {
    pub(super) fn new(secret: &SecretString) -> Self {
        let set = |secret: &SecretString| !secret.expose_secret().is_empty();
        Self(Some(secret.clone()).filter(set))
    }

    pub(super) fn verify(
        &self,
        header: HeaderOf<'_, '_>,
        body: &[u8],
    ) -> Result<Notification, Refused> {
        let given = self.0.as_ref().zip(header(HEADER));
        if !given.is_some_and(|(secret, given)| is_secret(given, secret)) {
            return Err(unverified(body, self.0.is_some(), |_| false));
        }
        let event = json_of(body)?;
        let id = text(&event, "/id");
        Ok(Notification {
            id: (!id.is_empty()).then(|| id.to_owned()),
            notices: notice(&event).into_iter().collect(),
        })
    }
}

/// Unknown events are about nothing of ours.
fn notice(event: &Value) -> Option<Notice> {
    if text(event, "/source") != "aws.ivs" {
        return None;
    }
    let detail = |key: &str| text(event, &format!("/detail/{key}")).to_owned();
    let hint = match text(event, "/detail-type") {
        "IVS Stream State Change" => match detail("event_name").as_str() {
            "Session Created" | "Stream Start" | "Stream Takeover" => Hint::FeedConnected,
            "Session Ended" | "Stream End" => Hint::FeedDisconnected,
            name @ ("Stream Failure" | "Stream Takeover Failure") => Hint::FeedErrored {
                reason: reason(&[name, &detail("code"), &detail("reason")]),
            },
            _ => return None,
        },
        "IVS Limit Breach" => Hint::FeedErrored {
            reason: reason(&["Limit Breach", &detail("limit_name")]),
        },
        "IVS Recording State Change" => match detail("recording_status").as_str() {
            "Recording End" | "Recording End Failure" | "Recording Start Failure" => {
                Hint::RecordingDone
            }
            _ => return None,
        },
        _ => return None,
    };
    let channel = text(event, "/resources/0");
    let subject = match is_channel(channel) {
        true => Subject::ingest(NAME, channel),
        // Some limits are the account's: the event names no channel.
        false => Subject::Tag(detail("channel_name").parse::<ResourceTag>().ok()?),
    };
    let at = DateTime::parse_from_rfc3339(text(event, "/time")).ok();
    Some(Notice {
        at: at.map(|at: DateTime<_>| at.with_timezone(&Utc)),
        ..Notice::new(subject, hint)
    })
}

fn reason(words: &[&str]) -> String {
    let words = words.iter().filter(|word| !word.is_empty());
    let text = words.copied().collect::<Vec<_>>().join(": ");
    text.chars().take(REASON).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHANNEL: &str = "arn:aws:ivs:us-west-2:123456789012:channel/abcdABCDefgh";

    fn verify(secret: &str, given: Option<&str>, body: &[u8]) -> Result<Notification, Refused> {
        let header = |name: &str| given.map(str::as_bytes).filter(|_| name == HEADER);
        EventSecret::new(&secret.into()).verify(&header, body)
    }

    fn hint(kind: &str, detail: &Value) -> Option<(Subject, Hint)> {
        let event = json!({
            "version": "0", "id": "e1", "source": "aws.ivs", "detail-type": kind,
            "time": "2026-11-29T10:00:00Z", "resources": [CHANNEL], "detail": detail,
        });
        let event = event.to_string();
        let mut notification = verify("secret", Some("secret"), event.as_bytes()).unwrap();
        assert_eq!(notification.id.as_deref(), Some("e1"));
        let notice = notification.notices.pop()?;
        assert!(notice.at.is_some());
        Some((notice.subject, notice.hint))
    }

    #[test]
    fn the_header_holds_the_secret_itself() {
        let body = br#"{"source": "aws.ivs"}"#;
        assert!(verify("secret", Some("secret"), body).is_ok());
        for given in [None, Some(""), Some("Secret"), Some("secret ")] {
            let refused = verify("secret", given, body);
            assert_eq!(refused, Err(Refused::Unverified), "{given:?}");
        }
        assert_eq!(verify("", Some(""), body), Err(Refused::NoSecret));
        assert_eq!(verify("s", Some("s"), b"{"), Err(Refused::NoJson));
    }

    #[test]
    fn events_name_their_channel() {
        let ingest = || Subject::ingest(NAME, CHANNEL);
        for (name, expected) in [
            ("Session Created", Hint::FeedConnected),
            ("Stream Start", Hint::FeedConnected),
            ("Stream Takeover", Hint::FeedConnected),
            ("Session Ended", Hint::FeedDisconnected),
            ("Stream End", Hint::FeedDisconnected),
        ] {
            let detail = json!({"event_name": name, "stream_id": "st-1"});
            let found = hint("IVS Stream State Change", &detail);
            assert_eq!(found, Some((ingest(), expected)), "{name}");
        }
        for status in [
            "Recording End",
            "Recording End Failure",
            "Recording Start Failure",
        ] {
            let detail = json!({"recording_status": status});
            let found = hint("IVS Recording State Change", &detail);
            assert_eq!(found, Some((ingest(), Hint::RecordingDone)), "{status}");
        }
        let start = json!({"recording_status": "Recording Start"});
        assert_eq!(hint("IVS Recording State Change", &start), None);
        let health = json!({"event_name": "Starvation Start"});
        assert_eq!(hint("IVS Stream Health Change", &health), None);
    }

    #[test]
    fn a_failure_and_a_breached_limit_tell_why() {
        let failure = json!({"event_name": "Stream Failure", "reason": "codec"});
        let (_, failed) = hint("IVS Stream State Change", &failure).unwrap();
        let reason = "Stream Failure: codec".to_owned();
        assert_eq!(failed, Hint::FeedErrored { reason });
        let breach = json!({"limit_name": "Ingest Bitrate", "limit_value": 8_500_000});
        let (_, breached) = hint("IVS Limit Breach", &breach).unwrap();
        let reason = "Limit Breach: Ingest Bitrate".to_owned();
        assert_eq!(breached, Hint::FeedErrored { reason });
        let account = json!({
            "source": "aws.ivs", "detail-type": "IVS Limit Breach", "resources": [],
            "detail": {"limit_name": "Concurrent Broadcasts", "channel_name": "another's"},
        });
        assert_eq!(notice(&account), None);
    }
}
