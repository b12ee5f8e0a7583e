//! What is stored, as plain structs. Names of phases, outcomes, cleanup jobs and the like are text here: their meaning is the
//! pure core's. Times are UTC and kept to the microsecond, ids of vendors are the vendors'. No secret belongs in any of
//! these.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::SLOT_PHASES;

/// Which database this is, and which process's saves count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Eight lower-case hexadecimal digits, drawn once: the second part of our tag on vendor objects.
    pub database_id: String,
    /// The fence: saves under a lower one are refused. 0 until one is taken.
    pub epoch: i64,
}

/// A relay, as its owner writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayRow {
    /// The API's id.
    pub id: Uuid,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// Agora's name of the channel.
    pub channel_name: String,
    /// The seller's uid in the channel.
    pub seller_uid: i64,
    /// Where the relay is in its life; the first four phases hold the channel's slot.
    pub phase: String,
    /// The phase in the marketplace's words.
    pub relay_status: String,
    /// Which egress carries it.
    pub backend: String,
    /// Where the egress runs, when that was chosen.
    pub region: Option<String>,
    /// Cloudflare's uid of the ingest.
    pub ingest_id: Option<String>,
    /// Cloud Recording's resource id.
    pub agora_resource_id: Option<String>,
    /// The `cname` the egress was started with: our tag.
    pub agora_recording_cname: Option<String>,
    /// The egress's uid.
    pub agora_recording_uid: Option<i64>,
    /// Cloud Recording's `sid`.
    pub agora_sid: Option<String>,
    /// Media Push's converter.
    pub agora_converter_id: Option<String>,
    /// The outcome's code, from `stopping` on.
    pub outcome: Option<String>,
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// When the egress accepted.
    pub started_at: Option<DateTime<Utc>>,
    /// When a buyer could first press play.
    pub live_at: Option<DateTime<Utc>>,
    /// When `stopping` was entered.
    pub stopped_at: Option<DateTime<Utc>>,
    /// When nothing more was to happen.
    pub ended_at: Option<DateTime<Utc>>,
    /// The durable state of the pure core; read back, `Null` when what is stored is no JSON.
    pub state: Value,
    /// The form `state` is in.
    pub state_version: i32,
}

/// A relay, as it stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRelay {
    /// What its owner wrote.
    pub row: RelayRow,
    /// The epoch of its owner.
    pub epoch: i64,
    /// How many entries its journal has.
    pub revision: i64,
}

impl StoredRelay {
    /// Whether it holds its channel's slot.
    #[must_use]
    pub fn holds_slot(&self) -> bool {
        SLOT_PHASES.contains(&self.row.phase.as_str())
    }
}

/// A relay, as far as its history counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// When a buyer could first press play.
    pub live_at: Option<DateTime<Utc>>,
    /// The outcome's code; none while it is not decided.
    pub outcome: Option<String>,
}

/// One event of a relay, and what it led to.
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
    /// The actions it led to.
    pub actions: Value,
}

/// A [`JournalEntry`] with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// From 1, without gaps.
    pub seq: i64,
    /// What happened.
    pub entry: JournalEntry,
}

/// A video Cloudflare kept of a relay.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingRow {
    /// Cloudflare's uid of the video.
    pub id: String,
    /// Whose it is.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// `ready` when it can be played; other words are the core's.
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
    /// When it could be played.
    pub ready_at: Option<DateTime<Utc>>,
}

/// The state of a [`RecordingRow`] that can be played.
pub const READY: &str = "ready";

/// What a relay cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// Whose it is; a second cost of the same relay is ignored.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// Cloudflare's uid of the ingest.
    pub stream_key_id: Option<String>,
    /// Seconds charged.
    pub duration_seconds: i64,
    /// US cents, rounded up.
    pub cost_cents: i64,
    /// Millionths of a US dollar, exact.
    pub cost_micros: i64,
    /// Agora's part, millionths of a US dollar.
    pub agora_cost_micros: i64,
    /// What the seconds were taken from: `recording` or `observed`.
    pub source: String,
    /// When the relay ended.
    pub created_at: DateTime<Utc>,
}

/// What the ledger is summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The marketplace's channel.
    Channel,
    /// The UTC day of `created_at`.
    Day,
}

/// What a [`CostSum`] sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostGroup {
    /// One channel.
    Channel(i64),
    /// One UTC day.
    Day(NaiveDate),
}

/// A part of the ledger, summed in integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostSum {
    /// What it sums up.
    pub group: CostGroup,
    /// How many relays.
    pub relays: i64,
    /// Their seconds.
    pub duration_seconds: i64,
    /// Their US cents, each relay's rounded up.
    pub cost_cents: i64,
    /// Their millionths of a US dollar.
    pub cost_micros: i64,
    /// Agora's part, millionths of a US dollar.
    pub agora_cost_micros: i64,
}

/// What a relay that has moved on still owes a vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCleanupJob {
    /// Ours.
    pub id: Uuid,
    /// Whose cleanup job it is.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// What is owed: the core's word.
    pub kind: String,
    /// The vendor's id of what it is owed for. `kind` and `target` are owed once.
    pub target: String,
    /// What the payment needs besides.
    pub data: Value,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When to try next.
    pub next_attempt_at: DateTime<Utc>,
    /// When the vendor's own limit has settled it.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A cleanup job that is not paid yet.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCleanupJob {
    /// What is owed.
    pub cleanup_job: NewCleanupJob,
    /// How often it was tried in vain.
    pub attempts: i32,
    /// What the last attempt came to.
    pub last_error: Option<String>,
}

/// How much is owed of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupCount {
    /// The kind.
    pub kind: String,
    /// How many cleanup jobs are open.
    pub open: i64,
    /// Since when the oldest.
    pub oldest: DateTime<Utc>,
}

/// What the marketplace is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// Its place among its relay's, from 1; `None`: after the last one, which `data.sequence` of its body is then told.
    pub sequence: Option<i64>,
    /// The type of the message: `relay.live`.
    pub kind: String,
    /// What it says.
    pub body: Value,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
}

/// A message that stands in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its number: counted in the order of the commits, without gaps.
    pub id: i64,
    /// The channel it is about.
    pub channel_id: i64,
    /// The type of the message: `relay.live`.
    pub kind: String,
    /// What it says: JSON on one line, always the same bytes.
    pub body: String,
}

/// What became of a message on its way to the marketplace.
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
    /// It waits, for its time or for the message before it.
    Pending,
    /// It was taken.
    Delivered,
    /// It was given up.
    Failed,
}

/// A message on its way to the marketplace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's number.
    pub id: i64,
    /// What its receiver knows it by.
    pub webhook_id: Uuid,
    /// The type of the message.
    pub kind: String,
    /// Whose it is.
    pub relay_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// Its place among its relay's.
    pub sequence: i64,
    /// What became of it.
    pub status: DeliveryStatus,
    /// How often it was tried since it was last asked for.
    pub attempts: i32,
    /// When the message came to be.
    pub created_at: DateTime<Utc>,
    /// When it is tried next, if it waits.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was last tried.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When it was taken.
    pub delivered_at: Option<DateTime<Utc>>,
    /// The HTTP status last answered.
    pub response_status: Option<u16>,
    /// Why it was last not taken.
    pub last_error: Option<String>,
}

/// What a receiver knows a message by: a digest of all it says. A body holds its relay's id, its sequence in it and its time, so
/// another message has another id, in another database and in one that was restored too; and every repeat has the same.
pub(crate) fn webhook_id(body: &str) -> Uuid {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(Sha256::digest(body))
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// A message whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    /// Its number.
    pub id: i64,
    /// What its receiver knows it by.
    pub webhook_id: Uuid,
    /// Its channel.
    pub channel_id: i64,
    /// What it says, as it is sent.
    pub body: String,
    /// How often it was tried in vain.
    pub attempts: i32,
    /// It is not tried after this.
    pub give_up_at: DateTime<Utc>,
}

/// Which relay a request with an `Idempotency-Key` made or met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The key.
    pub key: String,
    /// The request it came with, hashed.
    pub request_hash: String,
    /// The relay.
    pub relay_id: Uuid,
    /// When it was first used.
    pub created_at: DateTime<Utc>,
}

/// What `channels` shows of a relay. All of it is written each time; `None` is written as NULL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// Agora's name of the channel.
    pub channel_name: String,
    /// Cloudflare's uid of the ingest.
    pub stream_key_id: Option<String>,
    /// Where buyers watch.
    pub hls_playback_url: Option<String>,
    /// Where they watch it again.
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

/// Which alarm: one row each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmKey {
    /// What it is.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// The name of the node that sees its cause; empty for a cause that all nodes share.
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

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRow {
    /// What it is.
    pub code: String,
    /// What it is about: a relay's id, a vendor's, or empty.
    pub subject: String,
    /// The name of the node that sees its cause; empty for a cause that all nodes share.
    pub node: String,
    /// A sentence.
    pub detail: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When its cause was last seen.
    pub last_seen_at: DateTime<Utc>,
}
