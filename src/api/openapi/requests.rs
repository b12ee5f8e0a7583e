//! What comes in, as the OpenAPI document shows it: paths, queries, headers, bodies. [`crate::api::body`] checks bodies
//! against their schemas; [`crate::api::input`] and [`crate::api::headers`] read the rest, and the schemathesis run in `scripts/contract` compares.
#![allow(dead_code, reason = "described only")]

use serde::{Deserialize, Deserializer};
use strum::IntoEnumIterator as _;
use utoipa::openapi::schema::Object;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::actors::view::describe;
use crate::api::input::channel_name_schema;
use crate::store::DeliveryStatus;

/// A channel in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct ChannelPath {
    /// The marketplace's channel.
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: i64,
}

/// A relay in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct RelayPath {
    /// The relay's id.
    #[param(example = "0192f0c4-0000-7000-8000-000000000001")]
    relay_id: Uuid,
}

/// A page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageQuery {
    /// The most rows of the page; 50 when it is left out.
    #[param(minimum = 1, maximum = 200, example = 20)]
    limit: Option<u32>,
    /// Where the page begins: the last page's `next_cursor`. Empty is as if it were left out.
    cursor: Option<String>,
}

/// Which relays.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RelayQuery {
    /// Only those in this phase.
    #[param(schema_with = phases)]
    phase: Option<String>,
}

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EventQuery {
    /// Only those of this channel.
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: Option<i64>,
    /// Go on after this one, if the header does not say.
    #[param(minimum = 0)]
    last_event_id: Option<i64>,
}

/// Where a stream goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct LastEventId {
    /// Go on after this one; from now on when nothing says where.
    #[param(rename = "Last-Event-ID", minimum = 0)]
    id: Option<i64>,
}

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeliveryQuery {
    /// Only those that stand so.
    #[param(schema_with = standings)]
    status: Option<String>,
    /// Only those of this channel.
    #[param(minimum = 1, maximum = 9007199254740991_i64, example = 42)]
    channel_id: Option<i64>,
}

/// A delivery in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct DeliveryPath {
    /// Its number, which is its `id` in the event stream.
    #[param(minimum = 0, maximum = 9007199254740991_i64, example = 7)]
    id: i64,
}

/// Which part of the ledger.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CostQuery {
    /// From here: an RFC 3339 time, or a date, which is its beginning in UTC. From the beginning when it is left out.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Up to, but not at, this time; a date is its end. Until now when it is left out.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// What is summed; by channel when it is left out.
    #[param(schema_with = groups)]
    group_by: Option<String>,
}

/// A parameter without a value counts as left out.
fn or_empty(mut words: Object) -> Object {
    if let Some(words) = &mut words.enum_values {
        words.push("".into());
    }
    words
}

fn phases() -> Object {
    or_empty(describe::phase())
}

/// The states of a delivery.
pub(in crate::api) fn delivery_statuses() -> Object {
    describe::one_of(DeliveryStatus::iter())
}

fn standings() -> Object {
    or_empty(delivery_statuses())
}

fn groups() -> Object {
    or_empty(describe::one_of(["channel", "day"]))
}

/// How to sweep.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SweepQuery {
    /// Only look.
    #[param(example = true)]
    dry_run: Option<bool>,
}

/// The query of a page's link. It is signed as a whole: nobody else can make one.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageLink {
    /// Agora's name of the channel.
    channel: String,
    /// The relay.
    relay: String,
    /// The seller's uid.
    seller: String,
    /// Which of the relay's egresses.
    attempt: String,
    /// When the page tells Agora that it is ready.
    ready: String,
    /// The signature over all of it.
    sig: String,
}

/// Makes a repeat of a request the same request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct IdempotencyKey {
    /// A key for 24 hours: with the same body it answers 200 with the same relay as it is then, or refuses as before where the
    /// start failed; with another body 422. The key of a request that was refused before any vendor was asked is free again.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "order-7"
    )]
    key: Option<String>,
}

/// RFC 7240.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct Prefer {
    /// `wait=N`: wait for the egress for N seconds at most, 0 to 25. What cannot be read is left aside.
    #[param(rename = "Prefer", example = "wait=5")]
    prefer: Option<String>,
}

/// What is put on air.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Start)]
pub(in crate::api) struct StartBody {
    #[schema(schema_with = channel_name_schema)]
    pub(in crate::api) channel_name: String,
    /// The seller's uid in the channel. Not one of the million from `agora.cloud_recording.recording_uid_base` on (900,000,000),
    /// which are egresses'; those above the maximum are the recorder's page's.
    #[schema(minimum = 1, maximum = 2999999999_i64)]
    pub(in crate::api) seller_uid: u32,
    /// Whether recordings are kept; true when it is left out. Cloudflare records all the same, since what it does not record it does not play: with false
    /// they are deleted after the relay.
    pub(in crate::api) enable_recording: Option<bool>,
    /// How long it may be live; `relay.max_duration` of the settings when it is left out.
    #[schema(minimum = 60, maximum = 86400)]
    pub(in crate::api) max_duration_seconds: Option<u32>,
    /// How long Cloudflare keeps the recordings; null: for ever. When it is left out, as the settings have it.
    #[schema(value_type = Option<u16>, minimum = 30, maximum = 1096)]
    #[serde(default, deserialize_with = "given")]
    pub(in crate::api) delete_recording_after_days: Option<Option<u16>>,
}

/// A field that is there, be it null.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<u16>>, D::Error> {
    Deserialize::deserialize(field).map(Some)
}

/// What is taken off the air.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Stop)]
pub(in crate::api) struct StopBody {
    /// Only this relay.
    pub(in crate::api) relay_id: Option<Uuid>,
}

/// Nothing, or an object with nothing in it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Empty)]
pub(in crate::api) struct EmptyBody {}
