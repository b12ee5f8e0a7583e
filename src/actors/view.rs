//! A relay as the marketplace sees it: in answers, in the outbox, in the event stream.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize as _, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::relay::{
    Backend, Cost, Detail, Durable, Fact, Outcome, OutcomeCode, Phase, Video, VideoState,
};

/// A time as it goes over the wire: RFC 3339, UTC with `Z`, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireTime(pub DateTime<Utc>);

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A relay in the marketplace's words, its fields in the order of the wire contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayView {
    /// The relay's id.
    pub id: Uuid,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// Agora's name of it.
    pub channel_name: String,
    /// The seller's uid in it.
    pub seller_uid: u32,
    /// Where the relay is in its life; a word that is no [`Phase`] of today is shown as it is stored.
    pub phase: String,
    /// The phase in fewer words: starting, active, stopped, failed.
    pub relay_status: &'static str,
    /// Live or interrupted.
    pub is_active: bool,
    /// A buyer can press play.
    pub is_live: bool,
    /// Where buyers watch, over HLS.
    pub hls_playback_url: Option<String>,
    /// The same over DASH.
    pub dash_playback_url: Option<String>,
    /// The live input's uid.
    pub stream_key_id: Option<String>,
    /// The recorder.
    pub agora: RecorderView,
    /// What Cloudflare keeps of it.
    pub recordings: Vec<RecordingView>,
    /// The main recording, over HLS.
    pub recording_url: Option<String>,
    /// How long it was live, interruptions included.
    pub live_seconds: u64,
    /// How many watch, when that was asked.
    pub viewer_count: Option<u64>,
    /// How it ended.
    pub outcome: Option<OutcomeView>,
    /// What it cost, once it has ended.
    pub cost: Option<Cost>,
    /// When the start was accepted.
    pub requested_at: WireTime,
    /// When the recorder accepted.
    pub started_at: Option<WireTime>,
    /// When a buyer could first press play.
    pub live_at: Option<WireTime>,
    /// When its end was decided.
    pub stopped_at: Option<WireTime>,
    /// When everything was accounted for.
    pub ended_at: Option<WireTime>,
}

/// The recorder of a [`RelayView`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecorderView {
    /// `cloud_recording` or `media_push`.
    pub backend: String,
    /// Cloud Recording: the resource it runs on.
    pub resource_id: Option<String>,
    /// Cloud Recording: its session.
    pub sid: Option<String>,
    /// Cloud Recording: its uid.
    pub recording_uid: Option<u32>,
    /// Media Push: its id.
    pub converter_id: Option<String>,
    /// How many have taken another's place.
    pub replacements: u32,
}

/// A recording of a [`RelayView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingView {
    /// Cloudflare's uid of the video.
    pub video_uid: String,
    /// processing, ready, failed, deleted.
    pub state: String,
    /// Where it is watched over HLS.
    pub hls_url: Option<String>,
    /// The same over DASH.
    pub dash_url: Option<String>,
    /// A picture of it.
    pub thumbnail_url: Option<String>,
    /// Its length, rounded up.
    pub duration_seconds: Option<u64>,
}

/// The end of a [`RelayView`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutcomeView {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: &'static str,
    /// What is known about the reason.
    pub detail: Detail,
}

impl RelayView {
    /// What `durable` looks like at `now`, with the number of viewers if that is known.
    #[must_use]
    pub fn of(durable: &Durable, viewers: Option<u64>, now: DateTime<Utc>) -> Self {
        let spec = &durable.spec;
        let phase = durable.phase;
        let wire = |at: Option<DateTime<Utc>>| at.map(WireTime);
        Self {
            id: spec.relay_id,
            channel_id: spec.channel_id,
            channel_name: spec.channel_name.clone(),
            seller_uid: spec.seller_uid,
            phase: phase.to_string(),
            relay_status: relay_status(phase, durable.outcome.as_ref().map(|end| end.code)),
            is_active: phase.is_active(),
            is_live: phase == Phase::Live,
            hls_playback_url: durable.live_input.hls_url.clone(),
            dash_playback_url: durable.live_input.dash_url.clone(),
            stream_key_id: durable.live_input.uid.clone(),
            agora: RecorderView::of(durable),
            recordings: durable.videos.iter().map(RecordingView::of).collect(),
            recording_url: durable
                .main_recording()
                .and_then(|video| video.hls_url.clone()),
            live_seconds: durable.live_seconds(now),
            viewer_count: viewers,
            outcome: durable.outcome.as_ref().map(OutcomeView::of),
            cost: durable.cost,
            requested_at: WireTime(spec.requested_at),
            started_at: wire(durable.started_at),
            live_at: wire(durable.live_at),
            stopped_at: wire(durable.stopped_at),
            ended_at: wire(durable.ended_at),
        }
    }
}

impl RecorderView {
    fn of(durable: &Durable) -> Self {
        let recorder = durable.recorder.as_ref();
        Self {
            backend: match durable.spec.backend {
                Backend::CloudRecording { .. } => "cloud_recording",
                Backend::MediaPush { .. } => "media_push",
            }
            .to_owned(),
            resource_id: recorder.and_then(|recorder| recorder.resource_id.clone()),
            sid: recorder.and_then(|recorder| recorder.sid.clone()),
            recording_uid: recorder.and_then(|recorder| durable.recording_uid(recorder.attempt)),
            converter_id: recorder.and_then(|recorder| recorder.converter_id.clone()),
            replacements: durable.replacements,
        }
    }
}

impl RecordingView {
    fn of(video: &Video) -> Self {
        let there = video.state != VideoState::Deleted;
        let url = |url: &Option<String>| url.clone().filter(|_| there);
        Self {
            video_uid: video.uid.clone(),
            state: video.state.to_string(),
            hls_url: url(&video.hls_url),
            dash_url: url(&video.dash_url),
            thumbnail_url: url(&video.thumbnail_url),
            duration_seconds: video.duration_ms.map(|ms| ms.div_ceil(1000)),
        }
    }
}

impl OutcomeView {
    fn of(outcome: &Outcome) -> Self {
        Self {
            code: outcome.code.to_string(),
            message: outcome.code.sentence(),
            detail: outcome.detail.clone(),
        }
    }
}

/// The marketplace's word for a phase. From `stopping` on the outcome decides.
#[must_use]
pub fn relay_status(phase: Phase, outcome: Option<OutcomeCode>) -> &'static str {
    match phase {
        Phase::Provisioning | Phase::AwaitingLive => "starting",
        Phase::Live | Phase::Interrupted => "active",
        Phase::Stopping | Phase::Finalizing | Phase::Ended => {
            if outcome.is_some_and(OutcomeCode::ended_well) {
                "stopped"
            } else {
                "failed"
            }
        }
    }
}

/// An entry of a journal in plain words: its fact's, or its name's where nobody can read it.
#[must_use]
pub fn in_words(kind: &str, data: &Value) -> String {
    match Fact::deserialize(data) {
        Ok(fact) => fact.words(),
        Err(_) => kind.replace('_', " "),
    }
}

/// [`RelayView::of`] as JSON: what an outbox row holds of a relay.
#[must_use]
pub fn relay_json(durable: &Durable, viewers: Option<u64>, now: DateTime<Utc>) -> Value {
    serde_json::to_value(RelayView::of(durable, viewers, now)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
