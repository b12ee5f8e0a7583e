//! Live streams and assets as Mux writes them (`mux.md §1.2, §2.1, §4.2`).

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::platforms::wire::{count, is_id, lenient, readable};

/// A live stream. All fields but the id may be missing.
#[derive(Debug, Deserialize)]
pub(super) struct LiveStream {
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) stream_key: Option<SecretString>,
    #[serde(default, deserialize_with = "lenient")]
    playback_ids: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) passthrough: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) latency_mode: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub(super) reconnect_window: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) new_asset_settings: Option<NewAssetSettings>,
    #[serde(default, deserialize_with = "lenient")]
    active_asset_id: Option<String>,
    #[serde(default, deserialize_with = "count")]
    created_at: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NewAssetSettings {
    #[serde(default, alias = "playback_policy", deserialize_with = "lenient")]
    pub(super) playback_policies: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) passthrough: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PlaybackId {
    id: String,
    policy: String,
}

/// The state of a live stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Idle,
    /// There is a broadcast, perhaps without an encoder (`mux.md §2.5`).
    Active,
    Disabled,
    /// Another word, or none.
    Unknown,
}

impl LiveStream {
    pub(super) fn status(&self) -> Status {
        match self.status.as_deref() {
            Some("idle") => Status::Idle,
            Some("active") => Status::Active,
            Some("disabled") => Status::Disabled,
            Some(_) | None => Status::Unknown,
        }
    }

    pub(super) fn playback_id(&self) -> Option<String> {
        public_id(self.playback_ids.as_ref())
    }

    /// The asset of the running broadcast. It may be missing for its first 30 s (`mux.md §2.5`).
    pub(super) fn active_asset(&self) -> Option<&str> {
        self.active_asset_id.as_deref().filter(|id| is_id(id))
    }

    pub(super) fn created(&self) -> Option<DateTime<Utc>> {
        time(self.created_at)
    }

    pub(super) fn flaw(&self, id: Option<&str>) -> Option<&'static str> {
        match id {
            _ if !is_id(&self.id) => Some("a live stream without an id"),
            Some(id) if self.id != id => Some("another live stream than asked for"),
            Some(_) | None => None,
        }
    }
}

/// An asset: Mux's recording of a broadcast. All fields but the id may be missing.
#[derive(Debug, Deserialize)]
pub(super) struct Asset {
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    is_live: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    progress: Option<Progress>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) duration: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    playback_ids: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) live_stream_id: Option<String>,
    #[serde(default, deserialize_with = "count")]
    created_at: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Progress {
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
}

impl Asset {
    /// Whether its broadcast goes on: then `ready` means playable, not complete (`mux.md §4.2`).
    pub(super) fn is_live(&self) -> bool {
        let progress = self.progress.as_ref().and_then(|all| all.state.as_deref());
        self.is_live.unwrap_or_default() || progress == Some("live")
    }

    pub(super) fn playback_id(&self) -> Option<String> {
        public_id(self.playback_ids.as_ref())
    }

    /// When its broadcast began.
    pub(super) fn created(&self) -> Option<DateTime<Utc>> {
        time(self.created_at)
    }
}

fn public_id(all: Option<&Vec<Value>>) -> Option<String> {
    let all: Vec<PlaybackId> = readable(all.cloned().unwrap_or_default());
    let mut all = all.into_iter();
    all.find(|playback| playback.policy == "public" && is_id(&playback.id))
        .map(|playback| playback.id)
}

/// Unix seconds, written as text or as a number.
fn time(seconds: Option<u64>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::try_from(seconds?).ok()?, 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_seconds_as_text_or_number() {
        for written in [json!("1609937654"), json!(1_609_937_654)] {
            let stream = json!({"id": "a", "created_at": written});
            let stream: LiveStream = serde_json::from_value(stream).unwrap();
            assert_eq!(stream.created().unwrap().timestamp(), 1_609_937_654);
        }
    }

    #[test]
    fn a_live_stream_needs_only_an_id_and_only_public_playback_counts() {
        let odd = json!({"id": "a", "status": 7, "playback_ids": "x", "stream_key": [], "created_at": {}});
        let odd: LiveStream = serde_json::from_value(odd).unwrap();
        assert_eq!((odd.status(), odd.playback_id()), (Status::Unknown, None));
        let ids = json!([{"id": "s", "policy": "signed"}, 7, {"id": "p", "policy": "public"}]);
        let stream = json!({"id": "a", "playback_ids": ids});
        let stream: LiveStream = serde_json::from_value(stream).unwrap();
        assert_eq!(stream.playback_id().as_deref(), Some("p"));
        let signed = json!({"id": "a", "playback_ids": [{"id": "s", "policy": "signed"}]});
        let signed: LiveStream = serde_json::from_value(signed).unwrap();
        assert_eq!(signed.playback_id(), None);
    }
}
