//! Alarms, and idempotency keys of requests that create nothing.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::parts::{recall, remember};
use crate::store::entities::{alarm, idempotency_key};
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{AlarmKey, IdempotencyRecord, StoreError};

pub(crate) struct RaiseAlarm {
    pub(crate) key: AlarmKey,
    pub(crate) detail: String,
    pub(crate) at: DateTime<Utc>,
}

impl Operation for RaiseAlarm {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        use alarm::Column as C;
        let AlarmKey {
            code,
            subject,
            node,
        } = self.key.clone();
        let row = alarm::Model {
            code,
            subject,
            node,
            detail: self.detail.clone(),
            since: self.at,
            last_seen_at: self.at,
        };
        alarm::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::columns([C::Code, C::Subject, C::Node])
                    .update_columns([C::Detail, C::LastSeenAt])
                    .to_owned(),
            )
            .exec_without_returning(&tx.sql)
            .await?;
        Ok(())
    }
}

pub(crate) struct ClearAlarm(pub(crate) AlarmKey);

impl Operation for ClearAlarm {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        let AlarmKey {
            code,
            subject,
            node,
        } = self.0.clone();
        alarm::Entity::delete_by_id((code, subject, node))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}

pub(crate) struct Remember(pub(crate) IdempotencyRecord);

impl Operation for Remember {
    /// The first use of the key.
    type Output = IdempotencyRecord;

    async fn run(&self, tx: &Tx<'_>) -> Result<IdempotencyRecord, OperationError> {
        remember(tx, std::slice::from_ref(&self.0)).await?;
        let known = recall(tx, &self.0.key).await?;
        let gone = || StoreError::Unavailable("the key has just been purged".to_owned());
        Ok(known.ok_or_else(gone)?)
    }
}

pub(crate) struct Forget(pub(crate) IdempotencyRecord);

impl Operation for Forget {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        idempotency_key::Entity::delete_by_id(self.0.key.clone())
            .filter(idempotency_key::Column::RelayId.eq(self.0.relay_id))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}
