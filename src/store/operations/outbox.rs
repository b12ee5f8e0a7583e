//! Messages are put into the outbox, numbered so that no reader can miss one.
//!
//! A number is drawn by counting the one row of `outbox_head` up, in the transaction that writes the message. The row's lock
//! is held until that transaction commits, on either database and whichever process it belongs to: a fenced one that still
//! has something under way, or one whose commit was given up on and comes through late. So numbers become visible in their
//! own order and without gaps, and "all that is greater than the last I saw" is everything new.

use std::sync::atomic::Ordering;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, QuerySelect,
};

use super::deliveries::new_delivery;
use super::many::pieces;
use crate::store::StoreError;
use crate::store::entities::{outbox, outbox_head, webhook_delivery};
use crate::store::fleet::notify_outbox;
use crate::store::writer::{Failure, Message, Tx};

/// Numbers messages and writes them.
pub(crate) async fn write_messages(tx: &Tx<'_>, messages: Vec<Message>) -> Result<(), Failure> {
    if messages.is_empty() {
        return Ok(());
    }
    let (first, delivers) = draw(tx, messages.len()).await?;
    let rows: Vec<_> = (first..)
        .zip(messages)
        .map(|(id, message)| message.numbered(id))
        .collect();
    for piece in pieces(&rows) {
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
    tx.told.store(true, Ordering::Relaxed);
    notify_outbox(tx).await
}

/// Holds the head until the transaction ends. One process at a time writes on SQLite anyway.
pub(crate) async fn hold_head(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        outbox_head::Entity::find_by_id(1)
            .lock_exclusive()
            .one(transaction)
            .await?;
    }
    Ok(())
}

/// The first of `count` numbers, and whether messages are to be delivered.
async fn draw(tx: &Tx<'_>, count: usize) -> Result<(i64, bool), Failure> {
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
