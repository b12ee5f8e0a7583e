//! Ends a relay without its actor, which has crashed too often or cannot read the relay's state.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::announce::add_outbox;
use super::parts::{add_cleanup_jobs, add_cost, append_journal};
use crate::relay::{OutcomeCode, Phase, RelayStatus};
use crate::store::entities::relay;
use crate::store::writer::{Operation, OperationError, ProjectedRow, Tx};
use crate::store::{
    CleanupJobRow, Id, JournalEntry, JsonText, LedgerRow, OutboxEntry, Projection, Saved,
};

/// The end of a relay, stored only if the relay has this epoch.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct ForcedEnd {
    pub relay_id: Uuid,
    pub epoch: i64,
    pub at: DateTime<Utc>,
    /// Unless the relay has one.
    pub outcome: OutcomeCode,
    /// Its new state; `None` keeps the old one for diagnosis.
    pub state: Option<JsonText>,
    pub entry: JournalEntry,
    /// One cleanup job per vendor id in its columns.
    pub cleanup_jobs: Vec<CleanupJobRow>,
    pub cost: Option<LedgerRow>,
    pub outbox: Vec<OutboxEntry>,
    pub projection: Option<Projection>,
}

impl Operation for ForcedEnd {
    type Output = Saved;

    fn writes_outbox(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Saved, OperationError> {
        let found = relay::Entity::find_by_id(Id(self.relay_id))
            .one(&tx.sql)
            .await?;
        let Some(mut row) = found.filter(|row| row.epoch == self.epoch) else {
            return Ok(Saved::Fenced);
        };
        if row.ended_at.is_some() {
            return Ok(Saved::Saved);
        }
        append_journal(tx, &row, std::slice::from_ref(&self.entry));
        row.phase = Phase::Ended.into();
        if row.outcome.is_none() {
            row.relay_status = RelayStatus::of(Phase::Ended, Some(self.outcome)).into();
            row.outcome = Some(self.outcome.into());
        }
        row.stopped_at = row.stopped_at.or(Some(self.at));
        row.ended_at = Some(self.at);
        row.revision += 1;
        if let Some(state) = &self.state {
            row.state = state.clone();
        }
        relay::Entity::update(row.clone().into_active_model().reset_all())
            .exec_without_returning(&tx.sql)
            .await?;
        add_cleanup_jobs(tx, &self.cleanup_jobs).await?;
        if let Some(cost) = &self.cost {
            add_cost(tx, cost).await?;
        }
        add_outbox(tx, &row, &self.outbox).await?;
        if let Some(projection) = &self.projection {
            let shown = ProjectedRow::of(&row, projection);
            tx.batched_rows().refreshed.push(shown);
        }
        Ok(Saved::Saved)
    }
}
