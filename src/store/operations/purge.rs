//! Deletes rows whose retention has passed, a few at a time, so that no save waits long.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::store::entities::{idempotency_key, outbox, relay, relay_event, webhook_delivery};
use crate::store::writer::{Operation, OperationError, Tx};

/// Journals deleted per run.
const RELAYS: u64 = 50;
/// Rows deleted per run of each other table.
const ROWS: u64 = 1000;

/// What to delete. Relays, recordings and the ledger are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// Journals of relays that ended before this.
    pub journal_before: DateTime<Utc>,
    /// Idempotency keys first used before this.
    pub idempotency_before: DateTime<Utc>,
    /// Messages created before this, with their deliveries.
    pub outbox_before: DateTime<Utc>,
}

impl Operation for Purge {
    /// The number of deleted rows; if not 0, there may be more.
    type Output = u64;

    async fn run(&self, tx: &Tx<'_>) -> Result<u64, OperationError> {
        let journalled = Query::select()
            .expr(Expr::val(1))
            .from(relay_event::Entity)
            .and_where(
                Expr::col((relay_event::Entity, relay_event::Column::RelayId))
                    .equals((relay::Entity, relay::Column::Id)),
            )
            .to_owned();
        let ended = relay::Entity::find()
            .select_only()
            .column(relay::Column::Id)
            .filter(relay::Column::EndedAt.lt(self.journal_before))
            .filter(Expr::exists(journalled))
            .limit(RELAYS);
        let entries = relay_event::Entity::delete_many()
            .filter(relay_event::Column::RelayId.in_subquery(ended.into_query()))
            .exec(&tx.sql)
            .await?;
        let used = idempotency_key::Entity::find()
            .select_only()
            .column(idempotency_key::Column::Key)
            .filter(idempotency_key::Column::CreatedAt.lt(self.idempotency_before))
            .limit(ROWS);
        let keys = idempotency_key::Entity::delete_many()
            .filter(idempotency_key::Column::Key.in_subquery(used.into_query()))
            .exec(&tx.sql)
            .await?;
        let old_messages = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .filter(outbox::Column::CreatedAt.lt(self.outbox_before))
            .order_by_asc(outbox::Column::Id)
            .limit(ROWS);
        webhook_delivery::Entity::delete_many()
            .filter(
                webhook_delivery::Column::OutboxId.in_subquery(old_messages.clone().into_query()),
            )
            .exec(&tx.sql)
            .await?;
        let messages = outbox::Entity::delete_many()
            .filter(outbox::Column::Id.in_subquery(old_messages.into_query()))
            .exec(&tx.sql)
            .await?;
        Ok(entries.rows_affected + keys.rows_affected + messages.rows_affected)
    }
}
