//! Cleanup jobs taken on, put off and settled.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::parts::add_cleanup_jobs;
use crate::store::NewCleanupJob;
use crate::store::entities::{cleanup_job, id::Id};
use crate::store::writer::{Failure, Operation, Tx};

/// Takes cleanup jobs on.
pub(crate) struct AddCleanupJobs(pub(crate) Vec<NewCleanupJob>);

impl Operation for AddCleanupJobs {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        add_cleanup_jobs(tx, &self.0).await
    }
}

/// Strikes a cleanup job off.
pub(crate) struct SettleCleanupJob(pub(crate) Uuid);

impl Operation for SettleCleanupJob {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        cleanup_job::Entity::delete_by_id(Id(self.0))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}

/// Puts a cleanup job off after an attempt in vain.
pub(crate) struct PostponeCleanupJob {
    pub(crate) id: Uuid,
    pub(crate) next_attempt_at: DateTime<Utc>,
    pub(crate) error: String,
}

impl Operation for PostponeCleanupJob {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
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
