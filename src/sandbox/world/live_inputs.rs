//! Stored live inputs, encoder connections and videos (`cloudflare-stream.md §2, §4`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;

use crate::sandbox::media::Broadcast;

#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimRecordingSettings {
    pub(in crate::sandbox) mode: String,
    pub(in crate::sandbox) timeout_seconds: Option<u64>,
    pub(in crate::sandbox) require_signed_urls: bool,
    pub(in crate::sandbox) allowed_origins: Option<Vec<String>>,
    pub(in crate::sandbox) hide_live_viewer_count: bool,
}

impl Default for SimRecordingSettings {
    fn default() -> Self {
        Self {
            mode: "off".to_owned(),
            timeout_seconds: None,
            require_signed_urls: false,
            allowed_origins: None,
            hide_live_viewer_count: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Encoder {
    pub(in crate::sandbox) state: &'static str,
    pub(in crate::sandbox) reason: &'static str,
    pub(in crate::sandbox) since: DateTime<Utc>,
}

pub(in crate::sandbox) struct SimLiveInput {
    pub(in crate::sandbox) uid: String,
    pub(in crate::sandbox) created: DateTime<Utc>,
    pub(in crate::sandbox) modified: DateTime<Utc>,
    pub(in crate::sandbox) meta: Value,
    pub(in crate::sandbox) enabled: bool,
    pub(in crate::sandbox) prefer_low_latency: Option<bool>,
    pub(in crate::sandbox) delete_recording_after_days: Option<u64>,
    pub(in crate::sandbox) recording: SimRecordingSettings,
    pub(in crate::sandbox) stream_key: String,
    pub(in crate::sandbox) playback_key: String,
    pub(in crate::sandbox) publish_secret: String,
    pub(in crate::sandbox) keys_rotated_at: Option<DateTime<Utc>>,
    pub(in crate::sandbox) deleted: bool,
    pub(in crate::sandbox) connections: Vec<EncoderConnection>,
    /// From then on the connected encoder's stream is playable.
    pub(in crate::sandbox) playable_at: Duration,
    /// The current broadcast's video.
    pub(in crate::sandbox) video: Option<String>,
    /// Of the current video, if media is real.
    pub(in crate::sandbox) broadcast: Option<Arc<Broadcast>>,
    /// While the feed is lost: when the broadcast ends, unless an encoder connects.
    pub(in crate::sandbox) hold_until: Option<Duration>,
    /// How long the broadcast was playable, up to the last lost feed.
    pub(in crate::sandbox) shown: Duration,
    pub(in crate::sandbox) status: Option<Encoder>,
    pub(in crate::sandbox) history: Vec<Encoder>,
}

#[derive(Debug)]
pub(in crate::sandbox) struct EncoderConnection {
    pub(in crate::sandbox) id: u64,
    /// Sid or converter id.
    pub(in crate::sandbox) egress: String,
    pub(super) since: Duration,
    pub(super) wake: watch::Sender<u64>,
}

/// What an encoder is connected to: a live input, a live stream, or a channel.
#[derive(Clone, Debug)]
pub(in crate::sandbox) enum SimIngest {
    Cloudflare(String),
    Mux(String),
    Ivs(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum SimVideoState {
    Live,
    Processing { ready_at: Duration },
    Ready,
}

#[derive(Debug)]
pub(in crate::sandbox) struct SimVideo {
    pub(in crate::sandbox) uid: String,
    pub(in crate::sandbox) input: String,
    pub(in crate::sandbox) input_meta: Value,
    pub(in crate::sandbox) created: DateTime<Utc>,
    pub(in crate::sandbox) modified: DateTime<Utc>,
    pub(in crate::sandbox) state: SimVideoState,
    pub(in crate::sandbox) length: Duration,
    /// What it shows, if media is real.
    pub(in crate::sandbox) broadcast: Option<Arc<Broadcast>>,
    /// Answers report -1 although the video is ready.
    pub(in crate::sandbox) length_hidden: bool,
    pub(in crate::sandbox) require_signed_urls: bool,
    pub(in crate::sandbox) retention_days: Option<u64>,
    pub(in crate::sandbox) scheduled_deletion: Option<DateTime<Utc>>,
    pub(in crate::sandbox) deleted: bool,
}

/// Future changes, by time.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct DueEvents {
    /// Live inputs, whose feed may be back by then.
    pub(super) losses: BTreeSet<(Duration, String)>,
    /// Videos, which may be deleted by then.
    pub(super) videos: BTreeSet<(Duration, String)>,
}

pub(super) fn take_due(
    due: &mut BTreeSet<(Duration, String)>,
    now: Duration,
) -> Option<(Duration, String)> {
    if due.first().is_some_and(|(at, _)| *at <= now) {
        due.pop_first()
    } else {
        None
    }
}

impl SimLiveInput {
    /// Whether viewers see a moving picture.
    pub(in crate::sandbox) fn playable(&self, now: Duration) -> bool {
        self.recording.mode == "automatic"
            && self.video.is_some()
            && !self.connections.is_empty()
            && self.playable_at <= now
    }

    /// Whether the live input is playable, or held after a lost feed.
    pub(in crate::sandbox) fn has_manifest(&self, now: Duration) -> bool {
        self.playable(now)
            || (self.recording.mode == "automatic" && self.video.is_some() && !self.shown.is_zero())
    }

    pub(in crate::sandbox) fn shown(&self, now: Duration) -> Duration {
        if self.playable(now) {
            self.shown + now.saturating_sub(self.playable_at)
        } else {
            self.shown
        }
    }

    pub(super) fn set_status(&mut self, state: &'static str, reason: &'static str) {
        let next = Encoder {
            state,
            reason,
            since: Utc::now(),
        };
        if let Some(last) = self.status.replace(next) {
            self.history.insert(0, last);
            self.history.truncate(10);
        }
    }
}
