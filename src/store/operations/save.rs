use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::announce::add_outbox;
use super::bulk::update_relays;
use super::kept_ingests::{self, KeptIngestWrite};
use super::parts::{add_cleanup_jobs, add_cost, append_journal, journal_rows, put_recordings};
use crate::store::entities::{relay, relay_event};
use crate::store::writer::{Operation, OperationError, ProjectedRow, RelayUpdate, Tx};
use crate::store::{
    CleanupJobRow, JournalEntry, LedgerRow, OutboxEntry, Projection, RecordingRow, StoredRelay,
};

/// A relay's next state. A repeated save finds out whether the first was committed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Save {
    /// Stored only if the stored row has its `epoch` and `revision`: those that this state was derived from.
    pub row: StoredRelay,
    /// New journal entries; each increments the revision.
    pub journal: Vec<JournalEntry>,
    pub cleanup_jobs: Vec<CleanupJobRow>,
    /// New and changed recordings.
    pub recordings: Vec<RecordingRow>,
    pub cost: Option<LedgerRow>,
    /// Changes of the kept ingest that the relay holds.
    pub kept_ingest: Vec<KeptIngestWrite>,
    pub outbox: Vec<OutboxEntry>,
    /// What `channels` shows, if that changed.
    pub projection: Option<Projection>,
}

/// The result of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Stored, now or by an earlier try.
    Saved,
    /// Another node owns the relay, or its revision differs. Nothing was written.
    Fenced,
}

impl Operation for Save {
    type Output = Saved;

    fn writes_outbox(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn recordings(&self) -> &[RecordingRow] {
        &self.recordings
    }

    fn is_batchable(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Saved, OperationError> {
        let change = RelayUpdate {
            row: self.row.after(&self.journal),
            expected_revision: self.row.revision,
        };
        if tx.together {
            // A conflict is found when the rows are written, and fails the batch.
            tx.batched_rows().changed.push(change);
        } else if update_relays(tx, &[change]).await? == 0 {
            return Ok(if self.was_saved(tx).await? {
                Saved::Saved
            } else {
                Saved::Fenced
            });
        }
        append_journal(tx, &self.row, &self.journal);
        add_cleanup_jobs(tx, &self.cleanup_jobs).await?;
        put_recordings(tx, self).await?;
        if let Some(cost) = &self.cost {
            add_cost(tx, cost).await?;
        }
        kept_ingests::write(tx, &self.row, &self.kept_ingest).await?;
        add_outbox(tx, &self.row, &self.outbox).await?;
        if let Some(projection) = &self.projection {
            let shown = ProjectedRow::of(&self.row, projection);
            tx.batched_rows().refreshed.push(shown);
        }
        Ok(Saved::Saved)
    }
}

impl Save {
    async fn was_saved(&self, tx: &Tx<'_>) -> Result<bool, OperationError> {
        use relay_event::Column as C;
        let Some(stored) = relay::Entity::find_by_id(self.row.id).one(&tx.sql).await? else {
            return Ok(false);
        };
        let mine = self.row.after(&self.journal);
        if (stored.epoch, stored.revision) != (mine.epoch, mine.revision) {
            return Ok(false);
        }
        let tail = relay_event::Entity::find()
            .filter(C::RelayId.eq(self.row.id))
            .filter(C::Seq.gt(self.row.revision))
            .order_by_asc(C::Seq)
            .all(&tx.sql)
            .await?;
        Ok(tail.into_iter().eq(journal_rows(&self.row, &self.journal)))
    }
}
