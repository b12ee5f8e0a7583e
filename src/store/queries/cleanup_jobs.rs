use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::relay::CleanupKind;
use crate::store::entities::{alarm, cleanup_job};
use crate::store::{AlarmRow, CleanupCount, CleanupJobRow, Id, Named, Store, StoreError};

impl Store {
    /// Cleanup jobs due at `due_before`, first those due longest.
    pub async fn open_cleanup_jobs(
        &self,
        due_before: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<CleanupJobRow>, StoreError> {
        Ok(cleanup_job::Entity::find()
            .filter(cleanup_job::Column::NextAttemptAt.lte(due_before))
            .order_by_asc(cleanup_job::Column::NextAttemptAt)
            .order_by_asc(cleanup_job::Column::Id)
            .limit(limit)
            .all(&self.read())
            .await?)
    }

    /// A relay's cleanup jobs, oldest first.
    pub async fn cleanup_jobs_of(&self, relay_id: Uuid) -> Result<Vec<CleanupJobRow>, StoreError> {
        Ok(cleanup_job::Entity::find()
            .filter(cleanup_job::Column::RelayId.eq(Id(relay_id)))
            .order_by_asc(cleanup_job::Column::CreatedAt)
            .order_by_asc(cleanup_job::Column::Id)
            .all(&self.read())
            .await?)
    }

    /// The targets of the open cleanup jobs of a kind, in order.
    pub async fn cleanup_targets(&self, kind: CleanupKind) -> Result<Vec<String>, StoreError> {
        let rows = cleanup_job::Entity::find()
            .select_only()
            .column(cleanup_job::Column::Target)
            .filter(cleanup_job::Column::Kind.eq(Named::from(kind)))
            .order_by_asc(cleanup_job::Column::Target)
            .into_tuple::<String>()
            .all(&self.read())
            .await?;
        Ok(rows)
    }

    /// The platforms that open cleanup jobs call, in order.
    pub async fn cleanup_platforms(&self) -> Result<Vec<String>, StoreError> {
        let of_egresses = [CleanupKind::StopEgress, CleanupKind::FindEgress].map(Named::from);
        Ok(cleanup_job::Entity::find()
            .select_only()
            .column(cleanup_job::Column::Platform)
            .distinct()
            .filter(cleanup_job::Column::Kind.is_not_in(of_egresses))
            .order_by_asc(cleanup_job::Column::Platform)
            .into_tuple()
            .all(&self.read())
            .await?)
    }

    /// The open cleanup jobs by kind.
    pub async fn cleanup_job_counts(&self) -> Result<Vec<CleanupCount>, StoreError> {
        let rows = cleanup_job::Entity::find()
            .select_only()
            .column(cleanup_job::Column::Kind)
            .expr(Expr::col(cleanup_job::Column::Id).count())
            .expr(Expr::col(cleanup_job::Column::CreatedAt).min())
            .group_by(cleanup_job::Column::Kind)
            .order_by_asc(cleanup_job::Column::Kind)
            .into_tuple()
            .all(&self.read())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(kind, open, oldest)| CleanupCount { kind, open, oldest })
            .collect())
    }

    /// All alarms, oldest first.
    pub async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreError> {
        Ok(alarm::Entity::find()
            .order_by_asc(alarm::Column::Since)
            .order_by_asc(alarm::Column::Code)
            .order_by_asc(alarm::Column::Subject)
            .order_by_asc(alarm::Column::Node)
            .all(&self.read())
            .await?)
    }
}
