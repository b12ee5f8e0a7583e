//! Rows that operations buffer until [`flush`](crate::store::operations::bulk::flush) writes them.

use uuid::Uuid;

use crate::store::entities::{relay, relay_event};
use crate::store::{IdempotencyRecord, OutboxMessage, Projection, StoredRelay};

/// Rows to write, and two facts that the transaction has read and nothing changes meanwhile.
#[derive(Debug, Default)]
pub(crate) struct BatchedRows {
    /// New relays.
    pub(crate) created: Vec<relay::Model>,
    /// The idempotency keys of their starts.
    pub(crate) keys: Vec<IdempotencyRecord>,
    pub(crate) changed: Vec<RelayUpdate>,
    pub(crate) journal: Vec<relay_event::Model>,
    /// Projections of new relays.
    pub(crate) taken: Vec<ProjectedRow>,
    /// Projections of other relays.
    pub(crate) refreshed: Vec<ProjectedRow>,
    /// Messages whose `id` is not drawn yet.
    pub(crate) outbox: Vec<OutboxMessage>,
    /// The epoch of a node that is live.
    pub(crate) node: Option<i64>,
    /// Whether our migration created `channels`.
    pub(crate) channels_are_ours: Option<bool>,
}

/// A relay's next row, which replaces the one with `expected_revision`.
#[derive(Debug)]
pub(crate) struct RelayUpdate {
    pub(crate) row: relay::Model,
    pub(crate) expected_revision: i64,
}

/// What a relay writes to its channel's row.
#[derive(Debug)]
pub(crate) struct ProjectedRow {
    pub(crate) channel_id: i64,
    pub(crate) relay_id: Uuid,
    pub(crate) projection: Projection,
}

impl ProjectedRow {
    pub(crate) fn of(relay: &StoredRelay, projection: &Projection) -> Self {
        Self {
            channel_id: relay.channel_id,
            relay_id: *relay.id,
            projection: projection.clone(),
        }
    }
}
