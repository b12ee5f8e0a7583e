//! Writes messages to the outbox.
//!
//! A message gets its number by incrementing the one row of `outbox_head` in its own transaction. Every process, even a
//! fenced one or one that gave up on its commit, holds that row's lock until the commit. So numbers become visible in
//! order and without gaps, and "greater than the last one read" finds every new message.

use std::sync::atomic::Ordering;

use super::deliveries::new_delivery;
use super::many_rows::pieces;
use crate::relay::Announcement;
use crate::store::entities::{outbox, outbox_head, webhook_delivery};
use crate::store::fleet::notify_outbox;
use crate::store::writer::{OperationError, Tx};
use crate::store::{OutboxMessage, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, QuerySelect,
};

pub(crate) async fn write_messages(
    tx: &Tx<'_>,
    mut messages: Vec<OutboxMessage>,
) -> Result<(), OperationError> {
    if messages.is_empty() {
        return Ok(());
    }
    let (first, delivers) = draw(tx, messages.len()).await?;
    for (id, message) in (first..).zip(&mut messages) {
        message.id = id;
    }
    for piece in pieces(&messages) {
        let rows = piece.iter().cloned();
        outbox::Entity::insert_many(rows.map(IntoActiveModel::into_active_model))
            .exec_without_returning(&tx.sql)
            .await?;
        if delivers {
            let deliveries = piece
                .iter()
                .map(|row| new_delivery(row.id, row.channel_id, row.created_at));
            webhook_delivery::Entity::insert_many(
                deliveries.map(IntoActiveModel::into_active_model),
            )
            .exec_without_returning(&tx.sql)
            .await?;
        }
    }
    tx.outbox_written.store(true, Ordering::Relaxed);
    let has_stopped = |message: &&OutboxMessage| {
        message.kind == Announcement::Stopped || message.kind == Announcement::Failed
    };
    let stopped = messages.iter().filter(has_stopped);
    notify_outbox(tx, stopped.map(|message| message.relay_id)).await
}

/// Locks the head until the transaction ends. SQLite has one writer anyway.
pub(crate) async fn lock_head(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        outbox_head::Entity::find_by_id(1)
            .lock_exclusive()
            .one(transaction)
            .await?;
    }
    Ok(())
}

/// Draws `count` numbers. Returns the first, and whether messages are delivered.
async fn draw(tx: &Tx<'_>, count: usize) -> Result<(i64, bool), OperationError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let heads = outbox_head::Entity::update_many()
        .col_expr(
            outbox_head::Column::LastId,
            Expr::col(outbox_head::Column::LastId).add(count),
        )
        .exec_with_returning(&tx.sql)
        .await?;
    let gone = || StoreError::Corrupt("the outbox_head row is gone".to_owned());
    let head = heads.first().ok_or_else(gone)?;
    Ok((head.last_id - count + 1, head.delivers))
}
