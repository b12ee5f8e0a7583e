//! Request parameters and bodies as the OpenAPI document shows them. [`crate::api::body`] checks bodies against their
//! schemas; schemathesis (`scripts/contract`) compares parameters with their parsers.
#![allow(dead_code, reason = "described only")]

use serde::{Deserialize, Deserializer};
use strum::IntoEnumIterator as _;
use utoipa::openapi::schema::Object;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::actors::view::describe;
use crate::api::input::channel_name_schema;
use crate::relay::{IngestOwner, Latency};
use crate::store::DeliveryStatus;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct ChannelPath {
    /// The marketplace's id of the channel.
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct RelayPath {
    #[param(example = "0192f0c4-0000-7000-8000-000000000001")]
    relay_id: Uuid,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageQuery {
    /// By default 50.
    #[param(minimum = 1, maximum = 200, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page; empty for the first.
    cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PlatformQuery {
    /// By default `platforms.default` of the settings.
    platform: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RelayQuery {
    #[param(schema_with = phases)]
    phase: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EventQuery {
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: Option<i64>,
    /// Resume after this event. `Last-Event-ID` takes precedence: an `EventSource` that reconnects repeats its first query.
    #[param(minimum = 0)]
    last_event_id: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct LastEventId {
    /// Resume after this event; by default begin with the next one.
    #[param(rename = "Last-Event-ID", minimum = 0)]
    id: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeliveryQuery {
    #[param(schema_with = standings)]
    status: Option<String>,
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct DeliveryPath {
    /// The delivery's `id`.
    #[param(minimum = 0, maximum = 9007199254740991_i64, example = 7)]
    id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CostQuery {
    /// Inclusive: an RFC 3339 time, or a date for its start in UTC. By default the beginning of the ledger.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Exclusive: an RFC 3339 time, or a date for its end in UTC. By default now.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// By default `channel`.
    #[param(schema_with = groups)]
    group_by: Option<String>,
}

fn ingest_owner() -> Object {
    describe::nullable(describe::ingest_owner())
}

fn latency() -> Object {
    describe::nullable(describe::latency())
}

/// An empty value counts as absent.
fn or_empty(mut words: Object) -> Object {
    if let Some(words) = &mut words.enum_values {
        words.push("".into());
    }
    words
}

fn phases() -> Object {
    or_empty(describe::phase())
}

pub(in crate::api) fn delivery_statuses() -> Object {
    describe::one_of(DeliveryStatus::iter())
}

fn standings() -> Object {
    or_empty(delivery_statuses())
}

fn groups() -> Object {
    or_empty(describe::one_of(["channel", "day"]))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SweepQuery {
    /// Report orphans without removing them.
    #[param(example = true)]
    dry_run: Option<bool>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageLink {
    /// Agora's name of the channel.
    channel: String,
    relay: String,
    seller: String,
    /// The number of the relay's egress.
    attempt: String,
    /// When the page tells Agora that it is ready.
    ready: String,
    /// The signature over the other parameters.
    sig: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct IdempotencyKey {
    /// Kept for 24 hours. A repeat with the same body answers 200 with the relay's current state, or the same error if the
    /// start failed; with another body, 422. A request that was refused before any vendor was called leaves its key unused.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "order-7"
    )]
    key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct Prefer {
    /// `wait=N`: wait up to N seconds for the egress, 0 to 25. Unreadable values are ignored.
    #[param(rename = "Prefer", example = "wait=5")]
    prefer: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Start)]
pub(in crate::api) struct StartBody {
    #[schema(schema_with = channel_name_schema)]
    pub(in crate::api) channel_name: String,
    /// The seller's uid in the channel. Two ranges are reserved: the million from
    /// `agora.cloud_recording.recording_uid_base` on (900,000,000) for egresses, and the uids above the maximum for the
    /// recorder's page.
    #[schema(minimum = 1, maximum = 2999999999_i64)]
    pub(in crate::api) seller_uid: u32,
    /// Whether to keep the recordings, by default true. The platform may record in any case, if it plays only what it records;
    /// with false the recordings are deleted after the relay.
    pub(in crate::api) enable_recording: Option<bool>,
    /// The streaming platform, by default `platforms.default` of the settings. One that is unknown or has no credentials: 422.
    #[schema(min_length = 1, max_length = 32)]
    pub(in crate::api) platform: Option<String>,
    /// Whose the ingest is, by default `ingest.owner` of the settings. `channel`: it is kept for the channel's next relays, whose
    /// HLS URL is the same.
    #[schema(schema_with = ingest_owner)]
    pub(in crate::api) ingest_owner: Option<IngestOwner>,
    /// How far buyers may be behind the seller, by default the platform's own. A platform without low latency: 422.
    #[schema(schema_with = latency)]
    pub(in crate::api) latency: Option<Latency>,
    /// The longest time live, by default `relay.max_duration` of the settings.
    #[schema(minimum = 60, maximum = 86400)]
    pub(in crate::api) max_duration_seconds: Option<u32>,
    /// How long the platform keeps the recordings; null: forever. The default is in the settings.
    #[schema(value_type = Option<u16>, minimum = 30, maximum = 1096)]
    #[serde(default, deserialize_with = "given")]
    pub(in crate::api) delete_recording_after_days: Option<Option<u16>>,
}

/// Distinguishes null from an absent field.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<u16>>, D::Error> {
    Deserialize::deserialize(field).map(Some)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Stop)]
pub(in crate::api) struct StopBody {
    /// Stop only this relay.
    pub(in crate::api) relay_id: Option<Uuid>,
}

/// Empty, or an empty object.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Empty)]
pub(in crate::api) struct EmptyBody {}
