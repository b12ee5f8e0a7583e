//! Mux's live streams and assets (`mux.md §1.2, §2.1, §4.2, §5.2`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::World;
use super::clock::duration_seconds_of;
use super::live_inputs::EncoderConnection;
use super::quota::TokenBucket;
use crate::sandbox::media::Broadcast;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum MuxStatus {
    Idle,
    Active,
    Disabled,
}

impl MuxStatus {
    pub(in crate::sandbox) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::sandbox) struct MuxPlaybackId {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) policy: String,
}

/// What a change of a live stream may set.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct MuxStreamSettings {
    pub(in crate::sandbox) latency_mode: String,
    /// In seconds of requests.
    pub(in crate::sandbox) reconnect_window: u64,
    /// In seconds of requests.
    pub(in crate::sandbox) max_continuous_duration: u64,
    pub(in crate::sandbox) passthrough: Option<String>,
    pub(in crate::sandbox) meta: Option<Value>,
    pub(in crate::sandbox) new_asset_settings: Value,
}

#[derive(Debug)]
pub(in crate::sandbox) struct SimMuxStream {
    pub(in crate::sandbox) id: String,
    /// Orders lists.
    pub(in crate::sandbox) number: u64,
    pub(in crate::sandbox) created: DateTime<Utc>,
    pub(in crate::sandbox) stream_key: String,
    pub(in crate::sandbox) playback_ids: Vec<MuxPlaybackId>,
    pub(in crate::sandbox) settings: MuxStreamSettings,
    pub(in crate::sandbox) test: bool,
    pub(in crate::sandbox) status: MuxStatus,
    pub(in crate::sandbox) deleted: bool,
    pub(super) encoder: Option<EncoderConnection>,
    /// Of the current asset, or the next one's, if media is real.
    pub(in crate::sandbox) broadcast: Option<Arc<Broadcast>>,
    /// The current broadcast's asset.
    pub(in crate::sandbox) asset: Option<String>,
    /// Newest last.
    pub(in crate::sandbox) recent: Vec<String>,
    pub(in crate::sandbox) active_since: Option<Duration>,
    pub(super) recording_at: Option<Duration>,
    pub(super) active_at: Option<Duration>,
    /// Without an encoder: when the broadcast ends.
    pub(super) window_until: Option<Duration>,
    /// When Mux disconnects the encoder.
    pub(super) cut_at: Option<Duration>,
}

impl SimMuxStream {
    pub(in crate::sandbox) fn new(
        id: String,
        number: u64,
        stream_key: String,
        settings: MuxStreamSettings,
    ) -> Self {
        Self {
            id,
            number,
            created: Utc::now(),
            stream_key,
            playback_ids: Vec::new(),
            settings,
            test: false,
            status: MuxStatus::Idle,
            deleted: false,
            encoder: None,
            broadcast: None,
            asset: None,
            recent: Vec::new(),
            active_since: None,
            recording_at: None,
            active_at: None,
            window_until: None,
            cut_at: None,
        }
    }

    pub(in crate::sandbox) fn encoders(&self) -> Vec<String> {
        let encoder = self.encoder.iter();
        encoder.map(|encoder| encoder.egress.clone()).collect()
    }

    /// Whether viewers see a moving picture.
    pub(in crate::sandbox) fn playable(&self) -> bool {
        self.status == MuxStatus::Active && self.encoder.is_some()
    }

    /// Some readers see the id of a new asset late.
    pub(in crate::sandbox) fn shown_asset(&self, world: &World, now: Duration) -> Option<&String> {
        let since = self.active_since?;
        let is_shown = since + world.options.mux_asset_id_after <= now;
        self.asset.as_ref().filter(|_| is_shown)
    }
}

#[derive(Debug)]
pub(in crate::sandbox) struct SimMuxAsset {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) number: u64,
    pub(in crate::sandbox) created: DateTime<Utc>,
    pub(in crate::sandbox) live_stream: String,
    pub(in crate::sandbox) playback_ids: Vec<MuxPlaybackId>,
    pub(in crate::sandbox) passthrough: Option<String>,
    /// Playable; from the broadcast's going live on.
    pub(in crate::sandbox) ready: bool,
    /// Until the broadcast is over and processed.
    pub(in crate::sandbox) is_live: bool,
    /// What it shows, if media is real.
    pub(in crate::sandbox) broadcast: Option<Arc<Broadcast>>,
    /// Without the encoder that is connected now.
    pub(in crate::sandbox) length: Duration,
    /// Since then the connected encoder is recorded.
    pub(super) recorded_since: Option<Duration>,
    /// Answers have no duration.
    pub(in crate::sandbox) length_hidden: bool,
    pub(in crate::sandbox) deleted: bool,
}

impl SimMuxAsset {
    pub(in crate::sandbox) fn length(&self, now: Duration) -> Duration {
        if let Some(broadcast) = &self.broadcast {
            return broadcast.length();
        }
        let since = self.recorded_since;
        self.length + since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

/// A webhook of the environment, which gets all its events.
#[derive(Clone)]
pub(in crate::sandbox) struct MuxWebhook {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) address: String,
    pub(in crate::sandbox) secret: String,
    pub(in crate::sandbox) enabled: bool,
    pub(in crate::sandbox) created: DateTime<Utc>,
}

#[derive(Default)]
pub(in crate::sandbox) struct MuxState {
    pub(in crate::sandbox) streams: BTreeMap<String, SimMuxStream>,
    pub(in crate::sandbox) assets: BTreeMap<String, SimMuxAsset>,
    pub(in crate::sandbox) webhooks: Vec<MuxWebhook>,
    pub(in crate::sandbox) posts: TokenBucket,
    pub(in crate::sandbox) others: TokenBucket,
    /// When something may happen to a live stream.
    pub(super) due: BTreeSet<(Duration, String)>,
    /// When assets are final.
    pub(super) finals: BTreeSet<(Duration, String)>,
    next_number: u64,
}

impl MuxState {
    pub(in crate::sandbox) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn refill(&mut self) {
        (self.posts, self.others) = (TokenBucket::default(), TokenBucket::default());
    }

    pub(super) fn wake(&mut self, at: Duration, stream: &str) {
        self.due.insert((at, stream.to_owned()));
    }
}

/// `created_at` is text in the API's answers and a number in webhooks (`mux.md §1.2, §5.2`).
pub(in crate::sandbox) fn stream_object(
    world: &World,
    now: Duration,
    stream: &SimMuxStream,
    in_webhook: bool,
) -> Value {
    let settings = &stream.settings;
    let mut object = json!({
        "id": stream.id,
        "created_at": seconds(stream.created, in_webhook),
        "status": stream.status.name(),
        "stream_key": stream.stream_key,
        "latency_mode": settings.latency_mode,
        "reconnect_window": settings.reconnect_window,
        "max_continuous_duration": settings.max_continuous_duration,
        "playback_ids": playback_objects(&stream.playback_ids),
        "new_asset_settings": settings.new_asset_settings,
    });
    if let Some(object) = object.as_object_mut() {
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        };
        put(
            "passthrough",
            settings.passthrough.as_ref().map(|text| json!(text)),
        );
        put("meta", settings.meta.clone());
        put("test", stream.test.then_some(json!(true)));
        put(
            "active_asset_id",
            stream.shown_asset(world, now).map(|id| json!(id)),
        );
        put(
            "recent_asset_ids",
            (!stream.recent.is_empty()).then(|| json!(stream.recent)),
        );
        put(
            "active_ingest_protocol",
            stream.playable().then_some(json!("rtmp")),
        );
    }
    object
}

pub(in crate::sandbox) fn asset_object(
    world: &World,
    now: Duration,
    asset: &SimMuxAsset,
    in_webhook: bool,
) -> Value {
    let state = match (asset.ready, asset.is_live) {
        (_, true) => "live",
        (true, false) => "completed",
        (false, false) => "transcoding",
    };
    let length = world.clock.to_wire(asset.length(now));
    let mut object = json!({
        "id": asset.id,
        "created_at": seconds(asset.created, in_webhook),
        "status": if asset.ready { "ready" } else { "preparing" },
        "progress": { "state": state, "progress": if asset.is_live { -1 } else { 100 } },
        "playback_ids": playback_objects(&asset.playback_ids),
        "live_stream_id": asset.live_stream,
        "ingest_type": "live_rtmp",
        "resolution_tier": "720p",
        "max_resolution_tier": "1080p",
        "master_access": "none",
        "video_quality": "plus",
        "encoding_tier": "smart",
    });
    if let Some(object) = object.as_object_mut() {
        if asset.is_live {
            object.insert("is_live".to_owned(), json!(true));
        }
        if let Some(passthrough) = &asset.passthrough {
            object.insert("passthrough".to_owned(), json!(passthrough));
        }
        if asset.ready && !asset.length_hidden {
            let duration = duration_seconds_of(length);
            object.insert("duration".to_owned(), json!(duration));
        }
    }
    object
}

fn playback_objects(all: &[MuxPlaybackId]) -> Vec<Value> {
    let object = |one: &MuxPlaybackId| json!({"id": one.id, "policy": one.policy});
    all.iter().map(object).collect()
}

fn seconds(at: DateTime<Utc>, in_webhook: bool) -> Value {
    match in_webhook {
        true => json!(at.timestamp()),
        false => json!(at.timestamp().to_string()),
    }
}
