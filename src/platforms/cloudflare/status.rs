//! A live input's `status`: a string in the SDKs, an object on the wire, null or absent before the first feed
//! (`cloudflare-stream.md §2.5`).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::wire::{lenient, time};

/// Whether an encoder is connected. It does not show whether buyers can watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FeedState {
    /// No feed yet.
    #[default]
    NeverConnected,
    /// A feed is being set up.
    Connecting,
    /// A feed arrives.
    Connected,
    /// The feed is interrupted and expected back.
    Reconnecting,
    /// The feed ended.
    Disconnected,
    /// An undocumented state.
    Unknown(String),
}

/// The feed's status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// The state.
    pub state: FeedState,
    /// Free text.
    pub reason: Option<String>,
    /// `rtmp` (also for RTMPS), `webrtc` or another.
    pub ingest_protocol: Option<String>,
    /// When the state began.
    pub entered_at: Option<DateTime<Utc>>,
    /// When the feed was last seen; advances while it is connected.
    pub last_seen: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Current {
    state: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    ingest_protocol: Option<String>,
    #[serde(default, deserialize_with = "time")]
    status_entered_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "time")]
    status_last_seen: Option<DateTime<Utc>>,
}

impl FeedStatus {
    pub(super) fn read(status: Option<Value>) -> Self {
        match status {
            Some(Value::String(word)) => Self {
                state: state(&word),
                ..Self::default()
            },
            Some(Value::Object(mut object)) => Self::current(object.remove("current")),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | None => {
                Self::default()
            }
        }
    }

    fn current(current: Option<Value>) -> Self {
        let Some(current) = current.filter(|current| !current.is_null()) else {
            return Self::default();
        };
        let Ok(current) = serde_json::from_value::<Current>(current) else {
            return Self {
                state: FeedState::Unknown(String::new()),
                ..Self::default()
            };
        };
        Self {
            state: match current.state {
                Some(Value::String(word)) => state(&word),
                Some(Value::Null) | None => FeedState::NeverConnected,
                Some(other) => FeedState::Unknown(other.to_string()),
            },
            reason: current.reason,
            ingest_protocol: current.ingest_protocol,
            entered_at: current.status_entered_at,
            last_seen: current.status_last_seen,
        }
    }
}

/// Words seen on the wire, and the SDK's.
fn state(word: &str) -> FeedState {
    match word {
        "connected" | "reconnected" => FeedState::Connected,
        "connecting" => FeedState::Connecting,
        "reconnecting" => FeedState::Reconnecting,
        "disconnected"
        | "client_disconnect"
        | "ttl_exceeded"
        | "failed_to_connect"
        | "failed_to_reconnect" => FeedState::Disconnected,
        _ => FeedState::Unknown(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_a_string_and_null_are_all_read() {
        let object = json!({
            "current": { "state": "disconnected", "reason": "client_disconnect", "ingestProtocol": "rtmp",
                "statusEnteredAt": "2026-09-13T10:01:00Z", "statusLastSeen": "2026-09-13T10:01:00.855717910Z" },
            "history": [ { "state": "connected" } ]
        });
        let status = FeedStatus::read(Some(object));
        assert_eq!(status.state, FeedState::Disconnected);
        assert_eq!(status.ingest_protocol.as_deref(), Some("rtmp"));
        assert!(status.last_seen > status.entered_at);
        assert_eq!(
            FeedStatus::read(Some(json!("reconnected"))).state,
            FeedState::Connected
        );
        for nothing in [None, Some(Value::Null), Some(json!({}))] {
            assert_eq!(FeedStatus::read(nothing), FeedStatus::default());
        }
    }

    #[test]
    fn unknown_words_and_shapes_fail_nothing() {
        assert_eq!(
            FeedStatus::read(Some(json!("live"))).state,
            FeedState::Unknown("live".into())
        );
        assert_eq!(
            FeedStatus::read(Some(json!({"current": {"state": "idle"}}))).state,
            FeedState::Unknown("idle".into())
        );
        for odd in [
            json!({"current": "connected"}),
            json!({"current": {"state": 7}}),
        ] {
            let status = FeedStatus::read(Some(odd));
            assert!(matches!(status.state, FeedState::Unknown(_)));
        }
        for nothing in [
            json!(7),
            json!([1]),
            json!({"current": {"statusEnteredAt": "yesterday"}}),
        ] {
            assert_eq!(FeedStatus::read(Some(nothing)), FeedStatus::default());
        }
    }
}
