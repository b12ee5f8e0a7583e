//! What becomes of messages on their way to the marketplace.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::store::DeliveryStatus;
use crate::store::entities::{outbox, outbox_head, webhook_delivery};
use crate::store::fleet::notify_outbox;
use crate::store::writer::{Failure, Operation, Tx};

/// A message is tried for so long after it came to be, or was asked for again.
const TRIED_FOR: TimeDelta = TimeDelta::days(3);

/// A delivery that waits for its first attempt.
pub(crate) fn new_delivery(id: i64, channel_id: i64, at: DateTime<Utc>) -> webhook_delivery::Model {
    webhook_delivery::Model {
        outbox_id: id,
        channel_id,
        status: DeliveryStatus::Pending.to_string(),
        attempts: 0,
        next_attempt_at: at,
        give_up_at: at + TRIED_FOR,
        last_attempt_at: None,
        delivered_at: None,
        response_status: None,
        last_error: None,
    }
}

/// Says whether messages are to be delivered from now on.
pub(crate) struct SetDelivers(pub(crate) bool);

impl Operation for SetDelivers {
    type Answer = ();

    fn writes_outbox(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
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

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The message's number.
    pub id: i64,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The HTTP status that was answered.
    pub response_status: Option<u16>,
    /// What came of it.
    pub result: AttemptResult,
}

/// Whether a message was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// It was. The endpoint counts as enabled.
    Delivered,
    /// It was not, and is tried again.
    Again {
        /// When.
        at: DateTime<Utc>,
        /// Why it was not taken.
        error: String,
    },
    /// It was not, and is not tried any more: the endpoint counts as disabled.
    GivenUp {
        /// Why it was not taken.
        error: String,
    },
}

impl Operation for Attempt {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        use webhook_delivery::Column as C;
        let (status, error, next, delivered_at) = match &self.result {
            AttemptResult::Delivered => (DeliveryStatus::Delivered, None, None, Some(self.at)),
            AttemptResult::Again { at, error } => {
                (DeliveryStatus::Pending, Some(error), Some(*at), None)
            }
            AttemptResult::GivenUp { error } => (DeliveryStatus::Failed, Some(error), None, None),
        };
        let mut update = webhook_delivery::Entity::update_many()
            .col_expr(C::Status, Expr::val(status.to_string()))
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

/// Has a message delivered again, whatever became of it.
pub(crate) struct Redeliver {
    pub(crate) id: i64,
    pub(crate) at: DateTime<Utc>,
}

impl Operation for Redeliver {
    /// Whether the message is kept.
    type Answer = bool;

    fn writes_outbox(&self) -> bool {
        true
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, Failure> {
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
        tx.told.store(true, Ordering::Relaxed);
        notify_outbox(tx).await?;
        Ok(true)
    }
}

/// Only a row that changes is written: its lock is what numbers of the outbox wait for.
async fn enable(tx: &Tx<'_>) -> Result<(), Failure> {
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

async fn disable(tx: &Tx<'_>, at: DateTime<Utc>) -> Result<(), Failure> {
    outbox_head::Entity::update_many()
        .col_expr(outbox_head::Column::DisabledSince, Expr::val(at))
        .filter(outbox_head::Column::DisabledSince.is_null())
        .exec(&tx.sql)
        .await?;
    Ok(())
}
