//! What is stored and read but is no row of one table. Times are UTC, to the microsecond.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{AlarmRow, ClosedList, Named};
use crate::relay::{Announcement, CleanupKind, Durable, OutcomeCode, Phase, RelayStatus};

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

/// A sum over the ledger, in the units of [`LedgerRow`](super::LedgerRow).
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

impl Projection {
    /// What the channel shows of a relay in this state.
    #[must_use]
    pub fn of(durable: &Durable) -> Self {
        let egress = durable.egress_ref();
        let member = |name| egress.as_ref().and_then(|egress| egress.member(name));
        let text = |name| member(name).and_then(|id| id.as_str()).map(str::to_owned);
        Self {
            channel_name: durable.spec.channel_name.clone(),
            stream_key_id: durable.ingest.id.clone(),
            hls_playback_url: durable.ingest.hls_url.clone(),
            stream_recording_url: durable
                .main_recording()
                .and_then(|recording| recording.hls_url().map(str::to_owned)),
            agora_resource_id: text("resource_id"),
            agora_sid: text("sid"),
            agora_recording_uid: member("recording_uid").and_then(|uid| uid.as_i64()),
            relay_status: durable.relay_status(),
            relay_started_at: durable.started_at,
        }
    }
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
