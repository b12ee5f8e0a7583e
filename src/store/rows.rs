//! The rows, as plain structs without secrets. Times are UTC, to the microsecond.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{ClosedList, Named};
use crate::relay::{
    Announcement, BackendKind, CleanupKind, OutcomeCode, Phase, RecordingState, RelayStatus, Source,
};

/// The identity of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Eight lower-case hexadecimal digits: the second part of the resource tag.
    pub database_id: String,
    /// The last fencing token drawn; 0 before the first.
    pub epoch: i64,
}

/// A relay, as its owner writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayRow {
    pub id: Uuid,
    pub channel_id: i64,
    /// Agora's channel name.
    pub channel_name: String,
    pub seller_uid: i64,
    pub phase: Named<Phase>,
    pub relay_status: Named<RelayStatus>,
    pub backend: Named<BackendKind>,
    pub region: Option<String>,
    pub ingest_id: Option<String>,
    pub agora_resource_id: Option<String>,
    /// The egress's `cname`: the resource tag.
    pub agora_recording_cname: Option<String>,
    /// The egress's uid.
    pub agora_recording_uid: Option<i64>,
    pub agora_sid: Option<String>,
    pub agora_converter_id: Option<String>,
    /// From `stopping` on.
    pub outcome: Option<Named<OutcomeCode>>,
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// When Agora accepted the egress.
    pub started_at: Option<DateTime<Utc>>,
    /// When the stream was first playable.
    pub live_at: Option<DateTime<Utc>>,
    /// When `stopping` began.
    pub stopped_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The core's durable state; `Null` when read if the stored text is not JSON.
    pub state: Value,
    /// The format version of `state`.
    pub state_version: i32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredRelay {
    pub row: RelayRow,
    /// Its owner's epoch.
    pub epoch: i64,
    /// Number of its journal entries.
    pub revision: i64,
}

impl StoredRelay {
    #[must_use]
    pub fn holds_slot(&self) -> bool {
        self.row.phase.known().is_some_and(Phase::holds_slot)
    }
}

/// What the console's history shows of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRelay {
    pub requested_at: DateTime<Utc>,
    pub live_at: Option<DateTime<Utc>>,
    pub outcome: Option<Named<OutcomeCode>>,
}

/// An event of a relay and the actions that followed.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub at: DateTime<Utc>,
    pub kind: String,
    /// The phase after it.
    pub phase: Named<Phase>,
    pub data: Value,
    pub actions: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// From 1, without gaps.
    pub seq: i64,
    pub entry: JournalEntry,
}

/// A video on demand that the platform keeps of a relay.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingRow {
    /// The platform's id.
    pub id: String,
    pub relay_id: Uuid,
    pub channel_id: i64,
    pub state: Named<RecordingState>,
    pub duration_seconds: Option<f64>,
    pub hls_url: Option<String>,
    pub dash_url: Option<String>,
    pub thumbnail_url: Option<String>,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    pub ready_at: Option<DateTime<Utc>>,
}

/// A relay's row of the cost ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// A second cost of the same relay is ignored.
    pub relay_id: Uuid,
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
    /// Where the seconds come from.
    pub source: Named<Source>,
    /// When the relay ended.
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    Channel,
    /// The UTC day of `created_at`.
    Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostGroup {
    Channel(i64),
    Day(NaiveDate),
}

/// A sum over the ledger, in the units of [`LedgerRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostSum {
    pub group: CostGroup,
    pub relays: i64,
    pub duration_seconds: i64,
    /// Each relay's cost is rounded up before it is added.
    pub cost_cents: i64,
    pub cost_micros: i64,
    pub agora_cost_micros: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewCleanupJob {
    pub id: Uuid,
    pub relay_id: Uuid,
    pub channel_id: i64,
    pub kind: Named<CleanupKind>,
    /// The vendor's id of the object. One job exists per `kind` and `target`.
    pub target: String,
    /// What else the job needs.
    pub data: Value,
    pub created_at: DateTime<Utc>,
    pub next_attempt_at: DateTime<Utc>,
    /// When the vendor's own limit makes it unnecessary.
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OpenCleanupJob {
    pub cleanup_job: NewCleanupJob,
    /// Failed attempts.
    pub attempts: i32,
    pub last_error: Option<String>,
}

/// The open cleanup jobs of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupCount {
    pub kind: Named<CleanupKind>,
    pub open: i64,
    /// When the oldest was added.
    pub oldest: DateTime<Utc>,
}

/// A message to the marketplace.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// Its number within the relay, from 1. `None`: the next; the store then writes it to `data.sequence` of the body.
    pub sequence: Option<i64>,
    pub kind: Announcement,
    pub body: Value,
    pub created_at: DateTime<Utc>,
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its number: without gaps, in the order of commits.
    pub id: i64,
    pub channel_id: i64,
    pub kind: Named<Announcement>,
    /// JSON on one line, always the same bytes.
    pub body: String,
}

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waits for its time or for an earlier message.
    Pending,
    Delivered,
    /// Given up.
    Failed,
}

impl ClosedList for DeliveryStatus {}

/// The delivery of a message to the marketplace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's number.
    pub id: i64,
    pub webhook_id: Uuid,
    pub kind: Named<Announcement>,
    pub relay_id: Uuid,
    pub channel_id: i64,
    pub sequence: i64,
    pub status: DeliveryStatus,
    /// Attempts since it was created or last redelivered.
    pub attempts: i32,
    /// When the message was created.
    pub created_at: DateTime<Utc>,
    /// Only if pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    /// Of the last response.
    pub response_status: Option<u16>,
    pub last_error: Option<String>,
}

/// A digest of the body, so that every retry has the same id. A body contains its relay's id, sequence and time, so
/// ids are unique across databases and restores.
pub(crate) fn webhook_id(body: &str) -> Uuid {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(Sha256::digest(body))
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    /// The message's number.
    pub id: i64,
    pub webhook_id: Uuid,
    pub channel_id: i64,
    pub body: String,
    /// Failed attempts.
    pub attempts: i32,
    /// It is not tried after this.
    pub give_up_at: DateTime<Utc>,
}

/// The relay that a request with an `Idempotency-Key` created or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    pub key: String,
    pub request_hash: String,
    pub relay_id: Uuid,
    /// When the key was first used.
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
    pub stream_recording_url: Option<String>,
    pub agora_resource_id: Option<String>,
    pub agora_sid: Option<String>,
    pub agora_recording_uid: Option<i64>,
    pub relay_status: RelayStatus,
    pub relay_started_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmKey {
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

/// An alarm: the fields of its [`AlarmKey`], and details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRow {
    pub code: String,
    pub subject: String,
    pub node: String,
    /// A sentence for the operator.
    pub detail: String,
    pub since: DateTime<Utc>,
    /// When the cause was last seen.
    pub last_seen_at: DateTime<Utc>,
}
