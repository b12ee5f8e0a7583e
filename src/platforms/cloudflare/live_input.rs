//! The live input: what we request, and what is returned (`cloudflare-stream.md §2`).

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::playback::{PlaybackUrls, WirePlayback, WireUrl, customer_host};
use super::status::FeedStatus;
use super::wire::{count, lenient, time};
use crate::platforms::wire::is_id;

/// Otherwise a live input is neither recorded nor playable over HLS (`cloudflare-stream.md §2.2`).
const MODE: &str = "automatic";

const LOW_LATENCY: &str = "preferLowLatency";

/// A live input to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLiveInput {
    /// Our tag: `meta.relaykeeper` (`cloudflare-stream.md §2.11`) and the `Idempotency-Key`. At most 255 bytes.
    pub tag: String,
    /// `meta.name`, shown in the dashboard.
    pub name: String,
    /// `recording.timeoutSeconds`, 1 to 86,400 (0 is not documented): the video is closed when the feed is gone this
    /// long.
    pub timeout_seconds: u32,
    /// `deleteRecordingAfterDays`: 30 to 1,096, or never.
    pub delete_recording_after_days: Option<u16>,
    /// `preferLowLatency`.
    pub low_latency: bool,
}

impl NewLiveInput {
    pub(super) fn create_body(&self) -> Value {
        let mut body = json!({
            "meta": { "name": self.name, "relaykeeper": self.tag },
            // Sent whole: whether a partial one merges is not documented.
            "recording": {
                "mode": MODE,
                "timeoutSeconds": self.timeout_seconds,
                "requireSignedURLs": false,
            },
        });
        if let Some(object) = body.as_object_mut() {
            if let Some(days) = self.delete_recording_after_days {
                object.insert("deleteRecordingAfterDays".to_owned(), days.into());
            }
            if self.low_latency {
                object.insert(LOW_LATENCY.to_owned(), true.into());
            }
        }
        body
    }

    /// Null removes a retention; an absent field does not. Likewise with false.
    pub(super) fn update_body(&self) -> Value {
        let mut body = self.create_body();
        if let Some(object) = body.as_object_mut() {
            let days = self.delete_recording_after_days;
            object.insert("deleteRecordingAfterDays".to_owned(), days.into());
            object.insert(LOW_LATENCY.to_owned(), self.low_latency.into());
        }
        body
    }

    /// The settings that an answer returns otherwise than requested: Cloudflare ignores some silently
    /// (`cloudflare-stream.md §2.2`).
    pub(super) fn differences(&self, echo: &LiveInput) -> Vec<String> {
        let days = self.delete_recording_after_days.map(u64::from);
        let recording = &echo.recording;
        [
            ("recording.mode", self.mode_differs(echo)),
            (
                "recording.timeoutSeconds",
                recording.timeout_seconds != Some(self.timeout_seconds.into()),
            ),
            (
                "recording.requireSignedURLs",
                recording.require_signed_urls == Some(true),
            ),
            (
                "deleteRecordingAfterDays",
                echo.delete_recording_after_days != days,
            ),
            (
                LOW_LATENCY,
                echo.prefers_low_latency.unwrap_or_default() != self.low_latency,
            ),
            ("meta.relaykeeper", echo.tag.as_ref() != Some(&self.tag)),
            ("meta.name", echo.name.as_ref() != Some(&self.name)),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(field, _)| field.to_owned())
        .collect()
    }

    /// In another mode nothing can be watched.
    pub(super) fn mode_differs(&self, echo: &LiveInput) -> bool {
        echo.recording.mode.as_deref() != Some(MODE)
    }
}

/// Where to publish over RTMPS (`cloudflare-stream.md §6.2`).
#[derive(Debug, Clone)]
pub struct IngestTarget {
    /// The URL, the same for all live inputs.
    pub url: String,
    /// An opaque key that gives the right to publish.
    pub stream_key: SecretString,
}

impl IngestTarget {
    /// The URL with the key appended, as encoders take it.
    #[must_use]
    pub fn publish_url(&self) -> SecretString {
        let url = self.url.trim_end_matches('/');
        let key = self.stream_key.expose_secret();
        SecretString::from(format!("{url}/{key}"))
    }
}

/// `recording` of a live input: settings, not a recording (`cloudflare-stream.md §2.4`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingSettings {
    /// `automatic` or `off`.
    pub mode: Option<String>,
    /// See [`NewLiveInput::timeout_seconds`].
    pub timeout_seconds: Option<u64>,
    /// Whether playback needs a token.
    pub require_signed_urls: Option<bool>,
}

/// A live input. All fields but the id may be missing.
#[derive(Debug, Clone)]
pub struct LiveInput {
    /// The id.
    pub uid: String,
    /// Where to publish, if the answer has a key.
    pub rtmps: Option<IngestTarget>,
    /// Where to watch, if the answer has URLs or the customer host is known.
    pub playback: Option<PlaybackUrls>,
    /// The customer host that this answer names.
    pub customer_base_url: Option<String>,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// Whether it accepts feeds; absent: yes.
    pub enabled: Option<bool>,
    /// `meta.relaykeeper`.
    pub tag: Option<String>,
    /// `meta.name`.
    pub name: Option<String>,
    /// Whether an encoder is connected.
    pub status: FeedStatus,
    /// How broadcasts are recorded.
    pub recording: RecordingSettings,
    /// How many days recordings are kept; absent means for ever.
    pub delete_recording_after_days: Option<u64>,
    /// Whether there is LL-HLS; absent: no.
    pub prefers_low_latency: Option<bool>,
}

/// A live input in a list: without credentials, settings and status (`cloudflare-stream.md §2.10`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveInputSummary {
    /// The id.
    pub uid: String,
    /// `meta.relaykeeper`.
    pub tag: Option<String>,
    /// `meta.name`.
    pub name: Option<String>,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// Whether it accepts feeds; absent: yes.
    pub enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct WireMeta {
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    relaykeeper: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIngest {
    url: String,
    stream_key: SecretString,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecording {
    #[serde(default, deserialize_with = "lenient")]
    mode: Option<String>,
    #[serde(default, deserialize_with = "count")]
    timeout_seconds: Option<u64>,
    #[serde(default, rename = "requireSignedURLs", deserialize_with = "lenient")]
    require_signed_urls: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireLiveInput {
    uid: String,
    #[serde(default, deserialize_with = "lenient")]
    rtmps: Option<WireIngest>,
    #[serde(default, deserialize_with = "lenient")]
    playback: Option<WirePlayback>,
    #[serde(default, rename = "webRTCPlayback", deserialize_with = "lenient")]
    web_rtc_playback: Option<WireUrl>,
    #[serde(default, deserialize_with = "time")]
    created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "time")]
    modified: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    meta: Option<WireMeta>,
    status: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    recording: Option<WireRecording>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) enabled: Option<bool>,
    #[serde(default, deserialize_with = "count")]
    delete_recording_after_days: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    prefer_low_latency: Option<bool>,
}

impl WireLiveInput {
    pub(super) fn flaw(&self, uid: Option<&str>) -> Option<&'static str> {
        match uid {
            _ if !is_id(&self.uid) => Some("a live input without an id"),
            Some(uid) if self.uid != uid => Some("another live input than asked for"),
            _ => None,
        }
    }

    /// The customer host in the answer: `playback.hls`, else `webRTCPlayback.url` (`cloudflare-stream.md §3.2`).
    pub(super) fn customer_base_url(&self) -> Option<String> {
        let hls = self
            .playback
            .as_ref()
            .and_then(|playback| playback.hls.as_deref());
        hls.and_then(customer_host)
            .or_else(|| self.web_rtc_playback.as_ref()?.host())
    }

    /// `base`: the customer host for URLs that the answer lacks.
    pub(super) fn read(self, base: Option<&str>) -> LiveInput {
        let customer_base_url = self.customer_base_url();
        let base = base.or(customer_base_url.as_deref());
        let playback = PlaybackUrls::read(self.playback.as_ref(), base, &self.uid);
        let meta = self.meta.unwrap_or_default();
        let recording = self.recording.unwrap_or_default();
        let rtmps = self
            .rtmps
            .filter(|rtmps| !rtmps.url.is_empty() && !rtmps.stream_key.expose_secret().is_empty());
        LiveInput {
            uid: self.uid,
            rtmps: rtmps.map(|rtmps| IngestTarget {
                url: rtmps.url,
                stream_key: rtmps.stream_key,
            }),
            playback,
            customer_base_url,
            created: self.created,
            modified: self.modified,
            enabled: self.enabled,
            tag: meta.relaykeeper,
            name: meta.name,
            status: FeedStatus::read(self.status),
            recording: RecordingSettings {
                mode: recording.mode,
                timeout_seconds: recording.timeout_seconds,
                require_signed_urls: recording.require_signed_urls,
            },
            delete_recording_after_days: self.delete_recording_after_days,
            prefers_low_latency: self.prefer_low_latency,
        }
    }

    pub(super) fn summary(self) -> LiveInputSummary {
        let meta = self.meta.unwrap_or_default();
        LiveInputSummary {
            uid: self.uid,
            tag: meta.relaykeeper,
            name: meta.name,
            created: self.created,
            modified: self.modified,
            enabled: self.enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_the_url_with_and_without_its_slash() {
        for url in [
            "rtmps://live.cloudflare.com:443/live/",
            "rtmps://live.cloudflare.com:443/live",
        ] {
            let target = IngestTarget {
                url: url.into(),
                stream_key: "key".into(),
            };
            assert_eq!(
                target.publish_url().expose_secret(),
                "rtmps://live.cloudflare.com:443/live/key"
            );
        }
    }

    #[test]
    fn a_live_input_needs_only_an_id() {
        let wire: WireLiveInput = serde_json::from_value(json!({ "uid": "u" })).unwrap();
        let input = wire.read(None);
        assert!(input.rtmps.is_none() && input.playback.is_none());
        let odd = json!({ "uid": "u", "rtmps": {"url": "rtmps://x/"}, "playback": "https://x", "created": 7,
            "meta": [], "status": 1, "recording": "on", "enabled": "yes", "deleteRecordingAfterDays": "30" });
        let wire: WireLiveInput = serde_json::from_value(odd).unwrap();
        assert!(wire.read(None).rtmps.is_none());
    }
}
