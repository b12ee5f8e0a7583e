//! The rows, as plain structs without secrets. Phases, outcomes and kinds are text here; the core gives them meaning.
//! Times are UTC, to the microsecond.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::SLOT_PHASES;

/// The identity of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Eight lower-case hexadecimal digits, drawn once: the second part of the resource tag.
    pub database_id: String,
    /// The last fencing token drawn; 0 before the first.
    pub epoch: i64,
}

/// A relay, as its owner writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayRow {
    /// Its id.
    pub id: Uuid,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// Agora's channel name.
    pub channel_name: String,
    /// The seller's uid in the channel.
    pub seller_uid: i64,
    /// The phase; the first four hold the channel's slot.
    pub phase: String,
    /// The phase, in the marketplace's words.
    pub relay_status: String,
    /// The kind of egress.
    pub backend: String,
    /// The egress's region, if one was chosen.
    pub region: Option<String>,
    /// The ingest's id.
    pub ingest_id: Option<String>,
    /// Cloud Recording's resource id.
    pub agora_resource_id: Option<String>,
    /// The egress's `cname`: the resource tag.
    pub agora_recording_cname: Option<String>,
    /// The egress's uid.
    pub agora_recording_uid: Option<i64>,
    /// Cloud Recording's `sid`.
    pub agora_sid: Option<String>,
    /// Media Push's converter id.
    pub agora_converter_id: Option<String>,
    /// The outcome's code, from `stopping` on.
    pub outcome: Option<String>,
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// When the egress accepted.
    pub started_at: Option<DateTime<Utc>>,
    /// When the stream was first playable.
    pub live_at: Option<DateTime<Utc>>,
    /// When `stopping` began.
    pub stopped_at: Option<DateTime<Utc>>,
    /// When the relay ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The core's durable state; `Null` when read if the stored text is not JSON.
    pub state: Value,
    /// The format version of `state`.
    pub state_version: i32,
}

/// A relay, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRelay {
    /// What its owner wrote.
    pub row: RelayRow,
    /// Its owner's epoch.
    pub epoch: i64,
    /// The number of its journal entries.
    pub revision: i64,
}

impl StoredRelay {
    /// Whether it holds its channel's slot.
    #[must_use]
    pub fn holds_slot(&self) -> bool {
        SLOT_PHASES.contains(&self.row.phase.as_str())
    }
}

/// A relay, as the history counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRelay {
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// When the stream was first playable.
    pub live_at: Option<DateTime<Utc>>,
    /// The outcome's code, once decided.
    pub outcome: Option<String>,
}

/// An event of a relay and the actions that followed.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// When it was handled.
    pub at: DateTime<Utc>,
    /// The event's name.
    pub kind: String,
    /// The phase after it.
    pub phase: String,
    /// The event.
    pub data: Value,
    /// The actions.
    pub actions: Value,
}

/// A [`JournalEntry`] with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// From 1, without gaps.
    pub seq: i64,
    /// The entry.
    pub entry: JournalEntry,
}

/// A video on demand that the platform keeps of a relay.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingRow {
    /// The platform's id.
    pub id: String,
    /// Its relay.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// `ready` when playable, else one of the core's words.
    pub state: String,
    /// Its length.
    pub duration_seconds: Option<f64>,
    /// The HLS manifest.
    pub hls_url: Option<String>,
    /// The DASH manifest.
    pub dash_url: Option<String>,
    /// A still.
    pub thumbnail_url: Option<String>,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    /// When it became playable.
    pub ready_at: Option<DateTime<Utc>>,
}

/// The state of a playable recording.
pub const READY: &str = "ready";

/// A relay's cost, in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its relay; a second cost of the same relay is ignored.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// The ingest's id.
    pub stream_key_id: Option<String>,
    /// Seconds charged.
    pub duration_seconds: i64,
    /// US cents, rounded up.
    pub cost_cents: i64,
    /// Millionths of a US dollar, exact.
    pub cost_micros: i64,
    /// Agora's part, millionths of a US dollar.
    pub agora_cost_micros: i64,
    /// The source of the seconds: `recording` or `observed`.
    pub source: String,
    /// When the relay ended.
    pub created_at: DateTime<Utc>,
}

/// How the ledger is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The marketplace's channel.
    Channel,
    /// The UTC day of `created_at`.
    Day,
}

/// The group of a [`CostSum`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostGroup {
    /// One channel.
    Channel(i64),
    /// One UTC day.
    Day(NaiveDate),
}

/// A sum over the ledger, in integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostSum {
    /// The group.
    pub group: CostGroup,
    /// Number of relays.
    pub relays: i64,
    /// Their seconds.
    pub duration_seconds: i64,
    /// Their US cents, each relay rounded up.
    pub cost_cents: i64,
    /// Their millionths of a US dollar.
    pub cost_micros: i64,
    /// Agora's part, millionths of a US dollar.
    pub agora_cost_micros: i64,
}

/// A cleanup job to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCleanupJob {
    /// Its id.
    pub id: Uuid,
    /// Its relay.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// The kind, in the core's words.
    pub kind: String,
    /// The vendor's id of the object. One job exists per `kind` and `target`.
    pub target: String,
    /// What else the job needs.
    pub data: Value,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When to try next.
    pub next_attempt_at: DateTime<Utc>,
    /// When the vendor's own limit makes it unnecessary.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A stored cleanup job.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCleanupJob {
    /// The job.
    pub cleanup_job: NewCleanupJob,
    /// Failed attempts.
    pub attempts: i32,
    /// The error of the last attempt.
    pub last_error: Option<String>,
}

/// The open cleanup jobs of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupCount {
    /// The kind.
    pub kind: String,
    /// Their number.
    pub open: i64,
    /// When the oldest was added.
    pub oldest: DateTime<Utc>,
}

/// A message to the marketplace.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// Its number within the relay, from 1. `None`: the next one, which is also written to `data.sequence` of the body.
    pub sequence: Option<i64>,
    /// The type of the message: `relay.live`.
    pub kind: String,
    /// The body.
    pub body: Value,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its number: without gaps, in the order of commits.
    pub id: i64,
    /// Its channel.
    pub channel_id: i64,
    /// The type of the message: `relay.live`.
    pub kind: String,
    /// The body: JSON on one line, always the same bytes.
    pub body: String,
}

/// The status of a delivery.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waits for its time or for an earlier message.
    Pending,
    /// Delivered.
    Delivered,
    /// Given up.
    Failed,
}

/// The delivery of a message to the marketplace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's number.
    pub id: i64,
    /// The `webhook-id` header.
    pub webhook_id: Uuid,
    /// The type of the message.
    pub kind: String,
    /// Its relay.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// Its number within the relay.
    pub sequence: i64,
    /// Its status.
    pub status: DeliveryStatus,
    /// Attempts since it was created or last redelivered.
    pub attempts: i32,
    /// When the message was created.
    pub created_at: DateTime<Utc>,
    /// When it is tried next, if pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was last tried.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When it was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last response.
    pub response_status: Option<u16>,
    /// The last error.
    pub last_error: Option<String>,
}

/// The `webhook-id`: a digest of the body. A body contains its relay's id, sequence and time, so ids are unique across
/// databases and restores, and the same for every retry.
pub(crate) fn webhook_id(body: &str) -> Uuid {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(Sha256::digest(body))
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// A message that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    /// Its number.
    pub id: i64,
    /// The `webhook-id` header.
    pub webhook_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// The body, as it is sent.
    pub body: String,
    /// Failed attempts.
    pub attempts: i32,
    /// It is not tried after this.
    pub give_up_at: DateTime<Utc>,
}

/// The relay that a request with an `Idempotency-Key` created or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The key.
    pub key: String,
    /// A hash of the request.
    pub request_hash: String,
    /// The relay.
    pub relay_id: Uuid,
    /// When it was first used.
    pub created_at: DateTime<Utc>,
}

/// What `channels` shows of a relay. Every write sets all columns; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// Agora's channel name.
    pub channel_name: String,
    /// The ingest's id.
    pub stream_key_id: Option<String>,
    /// The live HLS manifest.
    pub hls_playback_url: Option<String>,
    /// The recording's HLS manifest.
    pub stream_recording_url: Option<String>,
    /// Cloud Recording's resource id.
    pub agora_resource_id: Option<String>,
    /// Cloud Recording's `sid`.
    pub agora_sid: Option<String>,
    /// The egress's uid.
    pub agora_recording_uid: Option<i64>,
    /// starting, active, stopped or failed.
    pub relay_status: String,
    /// When the egress accepted.
    pub relay_started_at: Option<DateTime<Utc>>,
}

/// The key of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmKey {
    /// Its code.
    pub code: String,
    /// A relay's or vendor's id, or empty.
    pub subject: String,
    /// The node that sees the cause; empty if all nodes share it.
    pub node: String,
}

impl From<&AlarmRow> for AlarmKey {
    fn from(alarm: &AlarmRow) -> Self {
        Self {
            code: alarm.code.clone(),
            subject: alarm.subject.clone(),
            node: alarm.node.clone(),
        }
    }
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRow {
    /// Its code.
    pub code: String,
    /// A relay's or vendor's id, or empty.
    pub subject: String,
    /// The node that sees the cause; empty if all nodes share it.
    pub node: String,
    /// A sentence for the operator.
    pub detail: String,
    /// When it was raised.
    pub since: DateTime<Utc>,
    /// When the cause was last seen.
    pub last_seen_at: DateTime<Utc>,
}
