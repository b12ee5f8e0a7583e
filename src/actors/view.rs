//! A relay's JSON on the wire: in API answers, the outbox and the event stream.

pub(crate) mod describe;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize as _, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use uuid::Uuid;

use crate::relay::{
    BackendName, Cost, Detail, Durable, EgressRef, Fact, IngestOwner, Latency, Outcome,
    OutcomeCode, Phase, Recording, RecordingState, RelayStatus, Source,
};
use crate::store::Named;

/// A time on the wire: RFC 3339, UTC with `Z`, milliseconds.
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

/// A relay. The fields are in the order of the wire contract.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Relay)]
pub struct RelayView {
    /// The relay's id.
    pub id: Uuid,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// Agora's name of the channel.
    pub channel_name: String,
    /// The seller's uid in the channel.
    pub seller_uid: u32,
    /// The phase, as stored: a later version's may be unknown here.
    #[schema(schema_with = describe::phase)]
    pub phase: Named<Phase>,
    /// A summary of the phase.
    #[schema(schema_with = describe::relay_status)]
    pub relay_status: RelayStatus,
    /// Whether the relay is live or interrupted.
    pub is_active: bool,
    /// Whether buyers can watch now.
    pub is_live: bool,
    /// The streaming platform.
    pub platform: String,
    /// Whose the ingest is.
    #[schema(schema_with = describe::ingest_owner)]
    pub ingest_owner: IngestOwner,
    /// How far buyers are behind the seller.
    #[schema(schema_with = describe::latency)]
    pub latency: Latency,
    /// The HLS manifest for buyers.
    pub hls_playback_url: Option<String>,
    /// The DASH manifest for buyers.
    pub dash_playback_url: Option<String>,
    /// The ingest's id.
    pub stream_key_id: Option<String>,
    /// The egress.
    pub agora: EgressView,
    /// The recordings that the platform keeps.
    pub recordings: Vec<RecordingView>,
    /// The HLS manifest of the main recording.
    pub recording_url: Option<String>,
    /// Seconds of live time, interruptions included.
    pub live_seconds: u64,
    /// The number of viewers, if requested and known.
    pub viewer_count: Option<u64>,
    /// How the relay ended.
    pub outcome: Option<OutcomeView>,
    /// The cost, once the relay has ended.
    pub cost: Option<CostView>,
    /// When the start was accepted.
    pub requested_at: WireTime,
    /// When the egress accepted.
    pub started_at: Option<WireTime>,
    /// When buyers could first watch.
    pub live_at: Option<WireTime>,
    /// When its end was decided.
    pub stopped_at: Option<WireTime>,
    /// When its recordings and cost were settled.
    pub ended_at: Option<WireTime>,
}

/// The egress of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Egress)]
pub struct EgressView {
    /// `cloud_recording` or `media_push`.
    #[schema(schema_with = describe::backend)]
    pub backend: BackendName,
    /// Cloud Recording: the resource id.
    pub resource_id: Option<String>,
    /// Cloud Recording: the session id.
    pub sid: Option<String>,
    /// Cloud Recording: the uid in the channel.
    pub recording_uid: Option<u32>,
    /// Media Push: the converter id.
    pub converter_id: Option<String>,
    /// The number of replacements of the egress.
    pub replacements: u32,
}

/// A recording of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingView {
    /// The platform's id of it.
    pub id: String,
    /// processing, ready, failed, deleted.
    #[schema(schema_with = describe::recording_state)]
    pub state: Named<RecordingState>,
    /// The HLS manifest; null if the platform does not play it.
    pub hls_url: Option<String>,
    /// The DASH manifest.
    pub dash_url: Option<String>,
    /// A still picture.
    pub thumbnail_url: Option<String>,
    /// Where it is in other storage, e.g. a bucket and a prefix; null if the platform plays it.
    pub location: Option<String>,
    /// The length in seconds, rounded up.
    pub duration_seconds: Option<u64>,
}

/// How a relay ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub struct OutcomeView {
    /// The outcome's code.
    #[schema(schema_with = describe::outcome_code)]
    pub code: Named<OutcomeCode>,
    /// The outcome as a sentence.
    pub message: &'static str,
    /// Details of the reason.
    #[schema(schema_with = describe::detail)]
    pub detail: Detail,
}

/// A relay's cost, at the platform by the stored minute, at Agora by the egress minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostView {
    /// The billed duration in seconds, rounded up.
    pub duration_seconds: u64,
    /// The same in minutes, rounded up.
    pub minutes: u64,
    /// The platform's cost in US cents, rounded up.
    pub cost_cents: u64,
    /// The platform's exact cost in millionths of a US dollar.
    pub cost_micros: u64,
    /// Agora's cost in millionths of a US dollar.
    pub agora_cost_micros: u64,
    /// The source of the duration.
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
    /// The view of `durable` at `now`.
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
            phase: phase.into(),
            relay_status: durable.relay_status(),
            is_active: phase.is_active(),
            is_live: phase == Phase::Live,
            platform: spec.platform.to_string(),
            ingest_owner: spec.ingest_owner,
            latency: spec.latency,
            hls_playback_url: durable.ingest.hls_url.clone(),
            dash_playback_url: durable.ingest.dash_url.clone(),
            stream_key_id: durable.ingest.id.clone(),
            agora: EgressView::of(durable),
            recordings: durable.recordings.iter().map(RecordingView::of).collect(),
            recording_url: durable
                .main_recording()
                .and_then(|recording| recording.hls_url().map(str::to_owned)),
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
        let backend = &durable.spec.egress.backend;
        Self::with_ids(
            &backend.name,
            durable.egress_ref().as_ref(),
            durable.replacements,
        )
    }

    /// With the ids of an egress.
    #[must_use]
    pub fn with_ids(backend: &BackendName, egress: Option<&EgressRef>, replacements: u32) -> Self {
        let member = |name| egress.and_then(|egress| egress.member(name));
        let text = |name| member(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            backend: backend.clone(),
            resource_id: text("resource_id"),
            sid: text("sid"),
            recording_uid: member("recording_uid").and_then(|uid| u32::deserialize(uid).ok()),
            converter_id: text("converter_id"),
            replacements,
        }
    }
}

impl RecordingView {
    fn of(recording: &Recording) -> Self {
        let there = recording.state != RecordingState::Deleted;
        let url = |url: Option<&str>| url.filter(|_| there).map(str::to_owned);
        Self {
            id: recording.id.clone(),
            state: recording.state.into(),
            hls_url: url(recording.hls_url()),
            dash_url: url(recording.dash_url()),
            thumbnail_url: url(recording.thumbnail_url()),
            location: url(recording.location()),
            duration_seconds: recording.duration_ms.map(|ms| ms.div_ceil(1000)),
        }
    }
}

impl OutcomeView {
    fn of(outcome: &Outcome) -> Self {
        Self {
            code: outcome.code.into(),
            message: outcome.code.sentence(),
            detail: outcome.detail.clone(),
        }
    }
}

/// A journal entry as a sentence. An unreadable fact is shown by its name.
#[must_use]
pub fn in_words(kind: &str, data: &Value) -> String {
    match Fact::deserialize(data) {
        Ok(fact) => fact.describe(),
        Err(_) => kind.replace('_', " "),
    }
}

/// [`RelayView::of`] as JSON, as stored in the outbox.
#[must_use]
pub fn relay_json(durable: &Durable, viewers: Option<u64>, now: DateTime<Utc>) -> Value {
    serde_json::to_value(RelayView::of(durable, viewers, now)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
