//! A video: Cloudflare's recording of a broadcast (`cloudflare-stream.md §4.3`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::playback::{PlaybackUrls, WirePlayback, customer_host, on, thumbnail};
use super::wire::{count, lenient, time};

/// A shorter length means unknown.
const MIN_LENGTH: Duration = Duration::from_millis(1);
/// A longer length is an error.
const MAX_LENGTH: Duration = Duration::from_secs(31 * 86_400);

/// The state of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoState {
    /// Waiting for an upload.
    PendingUpload,
    /// Being fetched.
    Downloading,
    /// Waiting to be encoded.
    Queued,
    /// Being encoded.
    InProgress,
    /// Ready to watch.
    Ready,
    /// Failed.
    Error,
    /// Its broadcast is running; it cannot be deleted yet.
    LiveInProgress,
    /// Another or no state: `not-found` and `not-started` are seen while a recording is made.
    #[default]
    Unknown,
}

/// A video. All fields but the id may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// The id.
    pub uid: String,
    /// The live input of the broadcast.
    pub live_input: Option<String>,
    /// The state.
    pub state: VideoState,
    /// Why it failed: a code, `ERR_…`.
    pub error_code: Option<String>,
    /// Why it failed, in words.
    pub error_text: Option<String>,
    /// Whether it can be watched.
    pub ready_to_stream: bool,
    /// The length if known; never zero.
    pub duration: Option<Duration>,
    /// The size in bytes if known.
    pub size: Option<u64>,
    /// When it was created: the broadcast's start.
    pub created: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// When Cloudflare will delete it.
    pub scheduled_deletion: Option<DateTime<Utc>>,
    /// Where to watch, if the answer has URLs or the customer host is known.
    pub playback: Option<PlaybackUrls>,
    /// A still image.
    pub thumbnail_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
    /// Some documents omit the `or`.
    #[serde(default, alias = "errReasonCode", deserialize_with = "lenient")]
    error_reason_code: Option<String>,
    #[serde(default, alias = "errReasonText", deserialize_with = "lenient")]
    error_reason_text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireVideo {
    uid: String,
    #[serde(default, deserialize_with = "lenient")]
    live_input: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    ready_to_stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    duration: Option<f64>,
    #[serde(default, deserialize_with = "count")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "time")]
    created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "time")]
    modified: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "time")]
    scheduled_deletion: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    playback: Option<WirePlayback>,
    #[serde(default, deserialize_with = "lenient")]
    preview: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    thumbnail: Option<String>,
}

impl WireVideo {
    /// The customer host in the video's URLs (`cloudflare-stream.md §3.2`).
    pub(super) fn customer_base_url(&self) -> Option<String> {
        let hls = self
            .playback
            .as_ref()
            .and_then(|playback| playback.hls.as_deref());
        [hls, self.preview.as_deref(), self.thumbnail.as_deref()]
            .into_iter()
            .flatten()
            .find_map(customer_host)
    }

    /// `base`: the customer host for URLs that the answer lacks.
    pub(super) fn read(self, base: Option<&str>) -> Video {
        let own = self.customer_base_url();
        let base = base.or(own.as_deref());
        let status = match self.status {
            Some(Value::String(word)) => Some(WireStatus {
                state: Some(word),
                error_reason_code: None,
                error_reason_text: None,
            }),
            other => other.and_then(|status| serde_json::from_value(status).ok()),
        };
        let non_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (state, error_code, error_text) = status.map_or((None, None, None), |status| {
            let (code, text) = (status.error_reason_code, status.error_reason_text);
            (status.state, non_empty(code), non_empty(text))
        });
        Video {
            playback: PlaybackUrls::read(self.playback.as_ref(), base, &self.uid),
            thumbnail_url: base.map(|base| {
                on(base, self.thumbnail.as_deref()).unwrap_or_else(|| thumbnail(base, &self.uid))
            }),
            uid: self.uid,
            live_input: self.live_input,
            state: state.as_deref().map(self::state).unwrap_or_default(),
            error_code,
            error_text,
            ready_to_stream: self.ready_to_stream.unwrap_or_default(),
            // -1 means unknown. Recordings are never empty and cover at most a broadcast's first 7 days
            // (`cloudflare-stream.md §4.3, §4.7`).
            duration: self
                .duration
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|length| (MIN_LENGTH..=MAX_LENGTH).contains(length)),
            // -1 and 0 mean unknown; -1 is not a u64.
            size: self.size.filter(|size| *size > 0),
            created: self.created,
            modified: self.modified,
            scheduled_deletion: self.scheduled_deletion,
        }
    }
}

fn state(word: &str) -> VideoState {
    match word {
        "pendingupload" => VideoState::PendingUpload,
        "downloading" => VideoState::Downloading,
        "queued" => VideoState::Queued,
        "inprogress" => VideoState::InProgress,
        "ready" => VideoState::Ready,
        "error" => VideoState::Error,
        "live-inprogress" => VideoState::LiveInProgress,
        _ => VideoState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Video {
        serde_json::from_value::<WireVideo>(value)
            .unwrap()
            .read(None)
    }

    #[test]
    fn numbers_that_mean_unknown_read_as_none() {
        let video = read(json!({ "uid": "v", "duration": -1, "size": -1 }));
        assert_eq!((video.duration, video.size), (None, None));
        let video = read(json!({ "uid": "v", "duration": 7272, "size": 0 }));
        assert_eq!(video.duration, Some(Duration::from_secs(7272)));
        assert_eq!(video.size, None);
        for unknown in [
            json!(0),
            json!(0.0),
            json!(-0.5),
            json!(1e300),
            Value::Null,
            json!("12"),
        ] {
            let video = read(json!({ "uid": "v", "duration": unknown }));
            assert_eq!(video.duration, None, "{unknown}");
        }
        let video = read(json!({ "uid": "v", "duration": 12.5, "size": 77 }));
        assert_eq!(video.duration, Some(Duration::from_millis(12_500)));
        assert_eq!(video.size, Some(77));
    }

    #[test]
    fn an_undocumented_state_is_not_an_error() {
        for status in [
            json!({"state": "not-started"}),
            json!("polishing"),
            json!(7),
            Value::Null,
        ] {
            let video = read(json!({ "uid": "v", "status": status }));
            assert_eq!(video.state, VideoState::Unknown);
        }
        let video = read(json!({ "uid": "v", "status": "ready" }));
        assert_eq!(video.state, VideoState::Ready);
    }

    #[test]
    fn both_spellings_of_an_error_code_are_read() {
        for key in ["errorReasonCode", "errReasonCode"] {
            let video =
                read(json!({ "uid": "v", "status": { "state": "error", key: "ERR_UNKNOWN" } }));
            assert_eq!(video.error_code.as_deref(), Some("ERR_UNKNOWN"));
        }
        let fine = json!({ "uid": "v", "status": { "state": "ready", "errorReasonCode": "" } });
        assert_eq!(read(fine).error_code, None);
    }
}
