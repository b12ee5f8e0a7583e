//! What operations of one transaction leave to be written together: a statement for all rows of a table. Nobody reads any of
//! them before they are written.

use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::many::pieces;
use super::outbox::write_messages;
use super::parts::remember;
use super::projection::{Shown, refresh_rows, take_rows};
use super::relays::{self, Change};
use crate::store::entities::{outbox, relay, relay_event};
use crate::store::writer::{Failure, Tx};
use crate::store::{IdempotencyRecord, StoreError};

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
    pub(super) fn numbered(self, id: i64) -> outbox::Model {
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

impl Pending {
    /// Writes it, all of it or an error. Who moves on first: a channel's slot may be given up by one relay for another. And
    /// who takes a channel's row takes it before the relay that had it shows its recording.
    pub(crate) async fn write(self, tx: &Tx<'_>) -> Result<(), Failure> {
        all_of(relays::update(tx, &self.changed).await?, self.changed.len())?;
        all_of(remember(tx, &self.keys).await?, self.keys.len())?;
        all_of(relays::insert(tx, &self.created).await?, self.created.len())?;
        for rows in pieces(&self.journal) {
            let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
            relay_event::Entity::insert_many(rows)
                .exec_without_returning(&tx.sql)
                .await?;
        }
        take_rows(tx, &self.taken).await?;
        refresh_rows(tx, &self.refreshed).await?;
        write_messages(tx, self.outbox).await
    }
}

fn all_of(written: u64, rows: usize) -> Result<(), StoreError> {
    if written == rows as u64 {
        Ok(())
    } else {
        Err(StoreError::Refused(format!(
            "{written} of {rows} rows were written"
        )))
    }
}
