//! Debts and alarms: what is open.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::store::entities::{alarm, debt, id::Id};
use crate::store::{Alarm, DebtCount, OpenDebt, Store, StoreError};

impl Store {
    /// Debts whose next attempt is due at `due_before` or earlier, the longest due first.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn open_debts(
        &self,
        due_before: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<OpenDebt>, StoreError> {
        debt::Entity::find()
            .filter(debt::Column::NextAttemptAt.lte(due_before))
            .order_by_asc(debt::Column::NextAttemptAt)
            .order_by_asc(debt::Column::Id)
            .limit(limit)
            .all(&self.read())
            .await?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    /// A relay's debts, oldest first.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn debts_of(&self, relay_id: Uuid) -> Result<Vec<OpenDebt>, StoreError> {
        debt::Entity::find()
            .filter(debt::Column::RelayId.eq(Id(relay_id)))
            .order_by_asc(debt::Column::CreatedAt)
            .order_by_asc(debt::Column::Id)
            .all(&self.read())
            .await?
            .into_iter()
            .map(TryInto::try_into)
            .collect()
    }

    /// What debts of a kind are owed for: the vendor's ids.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn targets_owed(&self, kind: &str) -> Result<Vec<String>, StoreError> {
        let rows = debt::Entity::find()
            .select_only()
            .column(debt::Column::Target)
            .filter(debt::Column::Kind.eq(kind))
            .order_by_asc(debt::Column::Target)
            .into_tuple::<String>()
            .all(&self.read())
            .await?;
        Ok(rows)
    }

    /// How much is owed, by kind.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn debt_counts(&self) -> Result<Vec<DebtCount>, StoreError> {
        let rows = debt::Entity::find()
            .select_only()
            .column(debt::Column::Kind)
            .expr(Expr::col(debt::Column::Id).count())
            .expr(Expr::col(debt::Column::CreatedAt).min())
            .group_by(debt::Column::Kind)
            .order_by_asc(debt::Column::Kind)
            .into_tuple::<(String, i64, DateTime<Utc>)>()
            .all(&self.read())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(kind, open, oldest)| DebtCount { kind, open, oldest })
            .collect())
    }

    /// What needs a person, the longest standing first.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        let rows = alarm::Entity::find()
            .order_by_asc(alarm::Column::Since)
            .order_by_asc(alarm::Column::Code)
            .order_by_asc(alarm::Column::Subject)
            .order_by_asc(alarm::Column::Node)
            .all(&self.read())
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
