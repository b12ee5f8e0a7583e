//! The rows that operations of one transaction leave to be written together, by
//! [`write_down`](crate::store::operations::pending::write_down). Nobody reads any of them before.

use uuid::Uuid;

use crate::store::entities::{outbox, relay, relay_event};
use crate::store::{IdempotencyRecord, Projection};

/// What is to be written, and what is known of what nobody writes in this transaction.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// New relays.
    pub(crate) created: Vec<relay::Model>,
    /// The keys their starts came with; none is known yet.
    pub(crate) keys: Vec<IdempotencyRecord>,
    /// Relays that move on.
    pub(crate) changed: Vec<Change>,
    /// Entries of journals.
    pub(crate) journal: Vec<relay_event::Model>,
    /// What new relays show in `channels`.
    pub(crate) taken: Vec<Shown>,
    /// What relays show in `channels` from now on.
    pub(crate) refreshed: Vec<Shown>,
    /// Messages, in their order.
    pub(crate) outbox: Vec<Message>,
    /// The epoch that was found to be a node's.
    pub(crate) node: Option<i64>,
    /// Whether our own migration made `channels`.
    pub(crate) channels_are_ours: Option<bool>,
}

/// A message that has no number yet.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) relay_id: Uuid,
    pub(crate) channel_id: i64,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) body: String,
    pub(crate) created_at: chrono::DateTime<chrono::Utc>,
}

impl Message {
    pub(crate) fn numbered(self, id: i64) -> outbox::Model {
        outbox::Model {
            id,
            relay_id: self.relay_id.into(),
            channel_id: self.channel_id,
            sequence: self.sequence,
            kind: self.kind,
            body: self.body,
            created_at: self.created_at,
        }
    }
}

/// A relay's next row, in the place of the one with this revision.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) row: relay::Model,
    pub(crate) expected_revision: i64,
}

/// What a relay shows in its channel's row.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) channel_id: i64,
    pub(crate) relay_id: Uuid,
    pub(crate) projection: Projection,
}
