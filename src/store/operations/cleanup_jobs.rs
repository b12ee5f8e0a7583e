use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::parts::add_cleanup_jobs;
use crate::store::entities::cleanup_job;
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{CleanupJobRow, Id};

pub(crate) struct AddCleanupJobs(pub(crate) Vec<CleanupJobRow>);

impl Operation for AddCleanupJobs {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        add_cleanup_jobs(tx, &self.0).await
    }
}

pub(crate) struct SettleCleanupJob(pub(crate) Uuid);

impl Operation for SettleCleanupJob {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        cleanup_job::Entity::delete_by_id(Id(self.0))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}

pub(crate) struct PostponeCleanupJob {
    pub(crate) id: Uuid,
    pub(crate) next_attempt_at: DateTime<Utc>,
    pub(crate) error: String,
}

impl Operation for PostponeCleanupJob {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        use cleanup_job::Column as C;
        cleanup_job::Entity::update_many()
            .col_expr(C::NextAttemptAt, Expr::val(self.next_attempt_at))
            .col_expr(C::LastError, Expr::val(self.error.clone()))
            .col_expr(C::Attempts, Expr::col(C::Attempts).add(1))
            .filter(C::Id.eq(Id(self.id)))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}
