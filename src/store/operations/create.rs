//! A relay comes into being, if its channel's slot is free.

use std::slice;

use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::announce::add_outbox;
use super::parts::{append_journal, recall, remember};
use super::relays;
use crate::store::entities::{id::Id, node, relay};
use crate::store::writer::{Failure, Operation, Shown, Tx};
use crate::store::{
    IdempotencyRecord, JournalEntry, OutboxEntry, Projection, RelayRow, SLOT_PHASES, StoreError,
    StoredRelay,
};

/// A relay that is to come into being.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRelay {
    /// The relay, in a phase that holds its channel's slot.
    pub row: RelayRow,
    /// The epoch this process took.
    pub epoch: i64,
    /// The journal so far.
    pub journal: Vec<JournalEntry>,
    /// What the marketplace is to be told.
    pub outbox: Vec<OutboxEntry>,
    /// What `channels` is to show from now on: of this relay, and no longer of the last one.
    pub projection: Projection,
    /// The key the start came with.
    pub idempotency: Option<IdempotencyRecord>,
}

/// What became of a [`NewRelay`].
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It is stored. Also the answer to a repeat of a create that had been committed.
    Created,
    /// Another relay holds the channel's slot: that one. Nothing was written.
    SlotTaken(Box<StoredRelay>),
    /// The key was used before: for this. Nothing was written.
    Replayed(IdempotencyRecord),
    /// This process is no node any more. Nothing was written.
    Fenced,
}

impl Operation for NewRelay {
    type Answer = Created;

    fn writes_outbox(&self) -> bool {
        true
    }

    fn leaves_rows(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Created, Failure> {
        if !is_node(tx, self.epoch).await? {
            return Ok(Created::Fenced);
        }
        let id = self.row.id;
        let revision = i64::try_from(self.journal.len()).unwrap_or(i64::MAX);
        let row = relay::Model::new(&self.row, self.epoch, revision);
        if tx.together {
            // What stands in the way shows when the rows are written.
            let mut pending = tx.pending();
            pending.keys.extend(self.idempotency.clone());
            pending.created.push(row);
        } else if let Some(met) = self.insert(tx, row).await? {
            return Ok(met);
        }
        append_journal(tx, id, self.epoch, 0, &self.journal);
        add_outbox(tx, id, self.row.channel_id, &self.outbox).await?;
        tx.pending().taken.push(Shown {
            channel_id: self.row.channel_id,
            relay_id: id,
            projection: self.projection.clone(),
        });
        Ok(Created::Created)
    }
}

impl NewRelay {
    /// Inserts it, or says what stands in the way.
    async fn insert(&self, tx: &Tx<'_>, row: relay::Model) -> Result<Option<Created>, Failure> {
        if let Some(record) = &self.idempotency {
            match recall(tx, &record.key).await? {
                Some(known) if known.relay_id == self.row.id => return Ok(Some(Created::Created)),
                Some(known) => return Ok(Some(Created::Replayed(known))),
                None => remember(tx, slice::from_ref(record)).await?,
            };
        }
        if relays::insert(tx, &[row]).await? == 0 {
            return self.met(tx).await.map(Some);
        }
        Ok(None)
    }

    /// What stood in the way: this relay itself, of a create whose answer was lost, or the slot's holder.
    async fn met(&self, tx: &Tx<'_>) -> Result<Created, Failure> {
        let itself = relay::Entity::find_by_id(Id(self.row.id))
            .one(&tx.sql)
            .await?;
        if itself.is_some() {
            return Ok(Created::Created);
        }
        let holder = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(self.row.channel_id))
            .filter(relay::Column::Phase.is_in(SLOT_PHASES))
            .one(&tx.sql)
            .await?;
        let Some(holder) = holder else {
            return Err(StoreError::Unavailable("the slot is just changing hands".into()).into());
        };
        if let Some(record) = &self.idempotency {
            forget(tx, &record.key).await?;
        }
        Ok(Created::SlotTaken(Box::new(holder.into())))
    }
}

/// Whether this is a node's epoch; it stays one until this transaction ends.
async fn is_node(tx: &Tx<'_>, epoch: i64) -> Result<bool, Failure> {
    if tx.pending().node == Some(epoch) {
        return Ok(true);
    }
    let row = node::Entity::find_by_id(epoch)
        .lock(LockType::Share)
        .one(&tx.sql)
        .await?;
    tx.pending().node = row.map(|node| node.epoch);
    Ok(tx.pending().node.is_some())
}

async fn forget(tx: &Tx<'_>, key: &str) -> Result<(), Failure> {
    use crate::store::entities::idempotency_key::Entity;
    Entity::delete_by_id(key.to_owned()).exec(&tx.sql).await?;
    Ok(())
}
