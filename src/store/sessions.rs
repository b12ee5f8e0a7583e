//! Console sessions that were signed out: a restart must not bring them back.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _};

use super::entities::ended_session::{Column, Entity};
use super::writer::{Operation, OperationError, Tx};
use super::{EndedSession, Store, StoreError};

struct EndSession {
    ended: EndedSession,
    now: DateTime<Utc>,
}

impl Operation for EndSession {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        Entity::delete_many()
            .filter(Column::ExpiresAt.lte(self.now))
            .exec(&tx.sql)
            .await?;
        Entity::insert(self.ended.clone().into_active_model())
            .on_conflict(OnConflict::column(Column::Session).do_nothing().to_owned())
            .exec_without_returning(&tx.sql)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Stores that a session was signed out, and deletes expired ones.
    pub async fn end_session(
        &self,
        ended: EndedSession,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.inner.writer.run(EndSession { ended, now }).await
    }

    /// Signed-out sessions that would otherwise still be valid.
    pub async fn ended_sessions(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndedSession>, StoreError> {
        Ok(Entity::find()
            .filter(Column::ExpiresAt.gt(now))
            .all(&self.read())
            .await?)
    }
}
