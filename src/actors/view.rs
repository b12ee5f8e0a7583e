//! A relay as the marketplace sees it: in answers, in the outbox, in the event stream.

pub(crate) mod describe;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize as _, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use uuid::Uuid;

use crate::relay::{
    Backend, Cost, Detail, Durable, Fact, Outcome, Phase, Recording, RecordingState, RelayStatus,
    Source,
};

/// A time as it goes over the wire: RFC 3339, UTC with `Z`, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireTime(pub DateTime<Utc>);

impl utoipa::PartialSchema for WireTime {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A time in UTC, with milliseconds."));
        time.into()
    }
}

impl ToSchema for WireTime {
    fn name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A relay in the marketplace's words, its fields in the order of the wire contract.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Relay)]
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
    #[schema(schema_with = describe::phase)]
    pub phase: String,
    /// The phase in fewer words: starting, active, stopped, failed.
    #[schema(schema_with = describe::relay_status)]
    pub relay_status: RelayStatus,
    /// Live or interrupted.
    pub is_active: bool,
    /// A buyer can press play.
    pub is_live: bool,
    /// Where buyers watch, over HLS.
    pub hls_playback_url: Option<String>,
    /// The same over DASH.
    pub dash_playback_url: Option<String>,
    /// The ingest's uid.
    pub stream_key_id: Option<String>,
    /// The egress.
    pub agora: EgressView,
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
    pub cost: Option<CostView>,
    /// When the start was accepted.
    pub requested_at: WireTime,
    /// When the egress accepted.
    pub started_at: Option<WireTime>,
    /// When a buyer could first press play.
    pub live_at: Option<WireTime>,
    /// When its end was decided.
    pub stopped_at: Option<WireTime>,
    /// When everything was accounted for.
    pub ended_at: Option<WireTime>,
}

/// The egress of a relay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Egress)]
pub struct EgressView {
    /// `cloud_recording` or `media_push`.
    #[schema(schema_with = describe::backend)]
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

/// A recording of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingView {
    /// Cloudflare's uid of the video.
    pub id: String,
    /// processing, ready, failed, deleted.
    #[schema(schema_with = describe::recording_state)]
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

/// The end of a relay.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub struct OutcomeView {
    /// For machines: a closed list.
    #[schema(schema_with = describe::outcome_code)]
    pub code: String,
    /// For people.
    pub message: &'static str,
    /// What is known about the reason.
    #[schema(schema_with = describe::detail)]
    pub detail: Detail,
}

/// What a relay cost: Cloudflare's part by the minute stored, Agora's by the minute its egresses ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostView {
    /// Seconds, rounded up.
    pub duration_seconds: u64,
    /// Whole minutes of that, rounded up.
    pub minutes: u64,
    /// What Cloudflare stores it for, in US cents, rounded up.
    pub cost_cents: u64,
    /// The same in millionths of a US dollar, exact.
    pub cost_micros: u64,
    /// What Agora's egresses cost, in millionths of a US dollar.
    pub agora_cost_micros: u64,
    /// Where the duration comes from: the recordings, or, where a recording or its length is unknown and this is more, the time it was live as observed.
    #[schema(schema_with = describe::cost_source)]
    pub source: Source,
}

impl From<Cost> for CostView {
    fn from(cost: Cost) -> Self {
        Self {
            duration_seconds: cost.duration_seconds,
            minutes: cost.minutes,
            cost_cents: cost.cost_cents,
            cost_micros: cost.cost_micros,
            agora_cost_micros: cost.agora_cost_micros,
            source: cost.source,
        }
    }
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
            relay_status: durable.relay_status(),
            is_active: phase.is_active(),
            is_live: phase == Phase::Live,
            hls_playback_url: durable.ingest.hls_url.clone(),
            dash_playback_url: durable.ingest.dash_url.clone(),
            stream_key_id: durable.ingest.uid.clone(),
            agora: EgressView::of(durable),
            recordings: durable.recordings.iter().map(RecordingView::of).collect(),
            recording_url: durable
                .main_recording()
                .and_then(|recording| recording.hls_url.clone()),
            live_seconds: durable.live_seconds(now),
            viewer_count: viewers,
            outcome: durable.outcome.as_ref().map(OutcomeView::of),
            cost: durable.cost.map(CostView::from),
            requested_at: WireTime(spec.requested_at),
            started_at: wire(durable.started_at),
            live_at: wire(durable.live_at),
            stopped_at: wire(durable.stopped_at),
            ended_at: wire(durable.ended_at),
        }
    }
}

impl EgressView {
    fn of(durable: &Durable) -> Self {
        let egress = durable.egress.as_ref();
        Self {
            backend: match durable.spec.backend {
                Backend::CloudRecording { .. } => "cloud_recording",
                Backend::MediaPush { .. } => "media_push",
            }
            .to_owned(),
            resource_id: egress.and_then(|egress| egress.resource_id.clone()),
            sid: egress.and_then(|egress| egress.sid.clone()),
            recording_uid: egress.and_then(|egress| durable.egress_uid(egress.attempt)),
            converter_id: egress.and_then(|egress| egress.converter_id.clone()),
            replacements: durable.replacements,
        }
    }
}

impl RecordingView {
    fn of(recording: &Recording) -> Self {
        let there = recording.state != RecordingState::Deleted;
        let url = |url: &Option<String>| url.clone().filter(|_| there);
        Self {
            id: recording.uid.clone(),
            state: recording.state.to_string(),
            hls_url: url(&recording.hls_url),
            dash_url: url(&recording.dash_url),
            thumbnail_url: url(&recording.thumbnail_url),
            duration_seconds: recording.duration_ms.map(|ms| ms.div_ceil(1000)),
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

/// An entry of a journal in plain words: its fact's, or its name's where nobody can read it.
#[must_use]
pub fn in_words(kind: &str, data: &Value) -> String {
    match Fact::deserialize(data) {
        Ok(fact) => fact.describe(),
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
