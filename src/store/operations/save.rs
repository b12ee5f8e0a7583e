//! A relay moves on: its state, its journal and all that follows from them, in one.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::announce::add_outbox;
use super::parts::{add_cleanup_jobs, add_cost, append_journal, put_recordings};
use super::relays;
use crate::store::entities::{id::Id, relay, relay_event};
use crate::store::writer::{Change, Failure, Operation, Shown, Tx};
use crate::store::{
    CostRow, JournalEntry, NewCleanupJob, OutboxEntry, Projection, RecordingRow, RelayRow,
};

/// A relay's next state. It is written by the owner of `epoch` over revision `expected_revision` and nothing else, and
/// saving the same thing twice is saving it once: a repeat after [`StoreError::Unavailable`](crate::store::StoreError)
/// finds out whether the first had been committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Save {
    /// All columns.
    pub row: RelayRow,
    /// The revision this state was made from.
    pub expected_revision: i64,
    /// The epoch this process took.
    pub epoch: i64,
    /// What happened since; the new revision is the old one plus their number.
    pub journal: Vec<JournalEntry>,
    /// Cleanup jobs to take on; one whose `kind` and `target` are owed already is ignored.
    pub cleanup_jobs: Vec<NewCleanupJob>,
    /// Recordings as they are now.
    pub recordings: Vec<RecordingRow>,
    /// What the relay cost; ignored when the ledger has it already.
    pub cost: Option<CostRow>,
    /// What the marketplace is to be told.
    pub outbox: Vec<OutboxEntry>,
    /// What `channels` is to show, when that changed.
    pub projection: Option<Projection>,
}

/// What became of a [`Save`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Saved,
    /// The relay is not ours any more, or not as it was when this state was made. Nothing was written.
    Fenced,
}

impl Operation for Save {
    type Answer = Saved;

    fn writes_outbox(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn recordings(&self) -> &[RecordingRow] {
        &self.recordings
    }

    fn leaves_rows(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Saved, Failure> {
        let id = self.row.id;
        let change = Change {
            row: relay::Model::new(&self.row, self.epoch, self.revision()),
            expected_revision: self.expected_revision,
        };
        if tx.together {
            // Whether it is ours shows when the rows are written.
            tx.pending().changed.push(change);
        } else if relays::update(tx, &[change]).await? == 0 {
            return Ok(if self.was_saved(tx).await? {
                Saved::Saved
            } else {
                Saved::Fenced
            });
        }
        append_journal(tx, id, self.epoch, self.expected_revision, &self.journal);
        add_cleanup_jobs(tx, &self.cleanup_jobs).await?;
        put_recordings(tx, self).await?;
        if let Some(cost) = &self.cost {
            add_cost(tx, cost).await?;
        }
        add_outbox(tx, id, self.row.channel_id, &self.outbox).await?;
        if let Some(projection) = &self.projection {
            tx.pending().refreshed.push(Shown {
                channel_id: self.row.channel_id,
                relay_id: id,
                projection: projection.clone(),
            });
        }
        Ok(Saved::Saved)
    }
}

impl Save {
    fn revision(&self) -> i64 {
        let entries = i64::try_from(self.journal.len()).unwrap_or(i64::MAX);
        self.expected_revision.saturating_add(entries)
    }

    /// Whether this very save was committed before: same owner, same revision, and the journal ends as it would.
    async fn was_saved(&self, tx: &Tx<'_>) -> Result<bool, Failure> {
        use relay_event::Column as C;
        let Some(stored) = relay::Entity::find_by_id(Id(self.row.id))
            .one(&tx.sql)
            .await?
        else {
            return Ok(false);
        };
        if stored.epoch != self.epoch || stored.revision != self.revision() {
            return Ok(false);
        }
        let tail = relay_event::Entity::find()
            .filter(C::RelayId.eq(Id(self.row.id)))
            .filter(C::Seq.gt(self.expected_revision))
            .order_by_asc(C::Seq)
            .all(&tx.sql)
            .await?;
        let mine = (self.expected_revision + 1..)
            .zip(&self.journal)
            .map(|(seq, entry)| relay_event::Model::new(self.row.id, self.epoch, seq, entry));
        Ok(tail.into_iter().eq(mine))
    }
}
