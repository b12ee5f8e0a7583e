use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::store::entities::{outbox, outbox_head, webhook_delivery};
use crate::store::fleet::notify_outbox;
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{DeliveryStatus, Named};

/// From a message's creation or its last redelivery.
const RETRY_FOR: TimeDelta = TimeDelta::days(3);

pub(crate) fn new_delivery(id: i64, channel_id: i64, at: DateTime<Utc>) -> webhook_delivery::Model {
    webhook_delivery::Model {
        outbox_id: id,
        channel_id,
        status: DeliveryStatus::Pending.into(),
        attempts: 0,
        next_attempt_at: at,
        give_up_at: at + RETRY_FOR,
        last_attempt_at: None,
        delivered_at: None,
        response_status: None,
        last_error: None,
    }
}

pub(crate) struct SetDelivers(pub(crate) bool);

impl Operation for SetDelivers {
    type Output = ();

    fn writes_outbox(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        use outbox_head::Column as C;
        let mut update =
            outbox_head::Entity::update_many().col_expr(C::Delivers, Expr::val(self.0));
        if !self.0 {
            update = update.col_expr(C::DisabledSince, Expr::val(None::<DateTime<Utc>>));
        }
        update.exec(&tx.sql).await?;
        Ok(())
    }
}

/// An attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Attempt {
    /// The message's number.
    pub id: i64,
    pub at: DateTime<Utc>,
    pub response_status: Option<u16>,
    pub result: AttemptResult,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub enum AttemptResult {
    /// Delivered: the endpoint is enabled.
    Delivered,
    /// Failed: retried at this time.
    Again { at: DateTime<Utc>, error: String },
    /// Failed for good: the endpoint is disabled.
    GivenUp { error: String },
}

impl Operation for Attempt {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        use webhook_delivery::Column as C;
        let (status, error, next, delivered_at) = match &self.result {
            AttemptResult::Delivered => (DeliveryStatus::Delivered, None, None, Some(self.at)),
            AttemptResult::Again { at, error } => {
                (DeliveryStatus::Pending, Some(error), Some(*at), None)
            }
            AttemptResult::GivenUp { error } => (DeliveryStatus::Failed, Some(error), None, None),
        };
        let mut update = webhook_delivery::Entity::update_many()
            .col_expr(C::Status, Expr::val(Named::from(status)))
            .col_expr(C::Attempts, Expr::col(C::Attempts).add(1))
            .col_expr(C::LastAttemptAt, Expr::val(self.at))
            .col_expr(C::DeliveredAt, Expr::val(delivered_at))
            .col_expr(
                C::ResponseStatus,
                Expr::val(self.response_status.map(i32::from)),
            )
            .col_expr(C::LastError, Expr::val(error.cloned()));
        if let Some(next) = next {
            update = update.col_expr(C::NextAttemptAt, Expr::val(next));
        }
        update.filter(C::OutboxId.eq(self.id)).exec(&tx.sql).await?;
        match self.result {
            AttemptResult::Delivered => enable(tx).await,
            AttemptResult::Again { .. } => Ok(()),
            AttemptResult::GivenUp { .. } => disable(tx, self.at).await,
        }
    }
}

pub(crate) struct Redeliver {
    pub(crate) id: i64,
    pub(crate) at: DateTime<Utc>,
}

impl Operation for Redeliver {
    /// Whether the message is kept.
    type Output = bool;

    fn writes_outbox(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, OperationError> {
        use webhook_delivery::Column as C;
        let Some(message) = outbox::Entity::find_by_id(self.id).one(&tx.sql).await? else {
            return Ok(false);
        };
        let row = new_delivery(self.id, message.channel_id, self.at);
        webhook_delivery::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(C::OutboxId)
                    .update_columns([C::Status, C::Attempts, C::NextAttemptAt, C::GiveUpAt])
                    .to_owned(),
            )
            .exec_without_returning(&tx.sql)
            .await?;
        enable(tx).await?;
        tx.outbox_written.store(true, Ordering::Relaxed);
        notify_outbox(tx, []).await?;
        Ok(true)
    }
}

/// Writes the row only if it changes: its lock makes new messages wait.
async fn enable(tx: &Tx<'_>) -> Result<(), OperationError> {
    outbox_head::Entity::update_many()
        .col_expr(
            outbox_head::Column::DisabledSince,
            Expr::val(None::<DateTime<Utc>>),
        )
        .filter(outbox_head::Column::DisabledSince.is_not_null())
        .exec(&tx.sql)
        .await?;
    Ok(())
}

async fn disable(tx: &Tx<'_>, at: DateTime<Utc>) -> Result<(), OperationError> {
    outbox_head::Entity::update_many()
        .col_expr(outbox_head::Column::DisabledSince, Expr::val(at))
        .filter(outbox_head::Column::DisabledSince.is_null())
        .exec(&tx.sql)
        .await?;
    Ok(())
}
