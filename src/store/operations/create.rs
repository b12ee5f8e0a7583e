use std::slice;

use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::announce::add_outbox;
use super::bulk::insert_relays;
use super::parts::{append_journal, recall, remember};
use crate::store::entities::{node, relay};
use crate::store::writer::{Operation, OperationError, ProjectedRow, Tx};
use crate::store::{
    IdempotencyRecord, JournalEntry, OutboxEntry, Projection, StoreError, StoredRelay,
};

/// A relay to create, with what its first step brings.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct NewRelay {
    /// In a phase that holds its channel's slot. Each journal entry increments `revision`.
    pub row: StoredRelay,
    pub journal: Vec<JournalEntry>,
    pub outbox: Vec<OutboxEntry>,
    pub projection: Projection,
    pub idempotency: Option<IdempotencyRecord>,
}

/// The result of [`Store::create`](crate::store::Store::create).
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// Stored, now or by an earlier try of the same request.
    Created,
    /// This relay holds the slot. Nothing was written.
    SlotTaken(Box<StoredRelay>),
    /// The key was used before. Nothing was written.
    Replayed(IdempotencyRecord),
    /// This process is no live node. Nothing was written.
    Fenced,
}

impl Operation for NewRelay {
    type Output = Created;

    fn writes_outbox(&self) -> bool {
        true
    }

    fn is_batchable(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Created, OperationError> {
        if !is_node(tx, self.row.epoch).await? {
            return Ok(Created::Fenced);
        }
        let row = self.row.after(&self.journal);
        if tx.together {
            // A conflict is found when the rows are written, and fails the batch.
            let mut rows = tx.batched_rows();
            rows.keys.extend(self.idempotency.clone());
            rows.created.push(row);
        } else if let Some(conflict) = self.insert(tx, row).await? {
            return Ok(conflict);
        }
        append_journal(tx, &self.row, &self.journal);
        add_outbox(tx, &self.row, &self.outbox).await?;
        let shown = ProjectedRow::of(&self.row, &self.projection);
        tx.batched_rows().taken.push(shown);
        Ok(Created::Created)
    }
}

impl NewRelay {
    /// Returns the conflict, if any.
    async fn insert(
        &self,
        tx: &Tx<'_>,
        row: relay::Model,
    ) -> Result<Option<Created>, OperationError> {
        if let Some(record) = &self.idempotency {
            match recall(tx, &record.key).await? {
                Some(known) if known.relay_id == self.row.id => return Ok(Some(Created::Created)),
                Some(known) => return Ok(Some(Created::Replayed(known))),
                None => remember(tx, slice::from_ref(record)).await?,
            };
        }
        if insert_relays(tx, &[row]).await? == 0 {
            return self.conflict(tx).await.map(Some);
        }
        Ok(None)
    }

    /// Why the relay was not inserted: it exists, because an earlier answer was lost, or the slot is taken.
    async fn conflict(&self, tx: &Tx<'_>) -> Result<Created, OperationError> {
        let itself = relay::Entity::find_by_id(self.row.id).one(&tx.sql).await?;
        if itself.is_some() {
            return Ok(Created::Created);
        }
        let holder = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(self.row.channel_id))
            .filter(relay::holds_slot())
            .one(&tx.sql)
            .await?;
        let Some(holder) = holder else {
            return Err(StoreError::Unavailable("the slot has just become free".into()).into());
        };
        if let Some(record) = &self.idempotency {
            forget(tx, &record.key).await?;
        }
        Ok(Created::SlotTaken(Box::new(holder)))
    }
}

/// Whether this is a live node's epoch. Locks the node's row until the transaction ends.
async fn is_node(tx: &Tx<'_>, epoch: i64) -> Result<bool, OperationError> {
    if tx.batched_rows().node == Some(epoch) {
        return Ok(true);
    }
    let row = node::Entity::find_by_id(epoch)
        .lock(LockType::Share)
        .one(&tx.sql)
        .await?;
    tx.batched_rows().node = row.map(|node| node.epoch);
    Ok(tx.batched_rows().node.is_some())
}

async fn forget(tx: &Tx<'_>, key: &str) -> Result<(), OperationError> {
    use crate::store::entities::idempotency_key::Entity;
    Entity::delete_by_id(key.to_owned()).exec(&tx.sql).await?;
    Ok(())
}
