//! What operations of one transaction leave to be written together: a statement for all of their journals, and one for all
//! of their messages. Nobody reads either before it is written.

use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::outbox::write_messages;
use crate::store::entities::{outbox, relay_event};
use crate::store::writer::{Failure, Tx};

/// The most rows of one statement: databases count its values.
const ROWS: usize = 64;

/// What is to be written, and what is known of what nobody writes in this transaction.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Entries of journals.
    pub(crate) journal: Vec<relay_event::Model>,
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
    /// Writes it.
    pub(crate) async fn write(self, tx: &Tx<'_>) -> Result<(), Failure> {
        for rows in pieces(&self.journal) {
            let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
            relay_event::Entity::insert_many(rows)
                .exec_without_returning(&tx.sql)
                .await?;
        }
        write_messages(tx, self.outbox).await
    }
}

/// Rows in pieces whose lengths are powers of two: so there are few different statements, and each stays prepared.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << rows.len().min(ROWS).checked_ilog2()?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}
