//! Writes messages to the outbox, with numbers that no reader can miss.
//!
//! A number is drawn by incrementing the one row of `outbox_head` in the transaction that writes the message. Its lock
//! is held until the commit, by any process: also by a fenced one, and by a commit that its client gave up on. So
//! numbers become visible in order and without gaps, and "greater than the last one read" finds every new message.

use std::sync::atomic::Ordering;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect,
};
use serde_json::Value;
use uuid::Uuid;

use super::bulk::{flush, pieces};
use super::deliveries::new_delivery;
use crate::store::entities::{id::Id, outbox, outbox_head, webhook_delivery};
use crate::store::fleet::notify_outbox;
use crate::store::writer::{NewMessage, OperationError, Tx};
use crate::store::{OutboxEntry, StoreError};

/// Buffers messages, in order.
pub(crate) async fn add_outbox(
    tx: &Tx<'_>,
    relay_id: Uuid,
    channel_id: i64,
    entries: &[OutboxEntry],
) -> Result<(), OperationError> {
    for entry in entries {
        let mut message = NewMessage {
            relay_id,
            channel_id,
            sequence: 0,
            kind: entry.kind.clone(),
            body: String::new(),
            created_at: entry.created_at,
        };
        if let Some(sequence) = entry.sequence {
            message.sequence = sequence;
            message.body = entry.body.to_string();
        } else {
            flush(tx).await?;
            message.sequence = last_sequence(tx, relay_id).await? + 1;
            let mut body = entry.body.clone();
            if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
                data.insert("sequence".to_owned(), message.sequence.into());
            }
            message.body = body.to_string();
        }
        tx.batched_rows().outbox.push(message);
    }
    Ok(())
}

async fn last_sequence(tx: &Tx<'_>, relay_id: Uuid) -> Result<i64, OperationError> {
    let last = outbox::Entity::find()
        .select_only()
        .expr(Expr::col(outbox::Column::Sequence).max())
        .filter(outbox::Column::RelayId.eq(Id(relay_id)))
        .into_tuple::<Option<i64>>()
        .one(&tx.sql)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}

/// Numbers messages and writes them.
pub(crate) async fn write_messages(
    tx: &Tx<'_>,
    messages: Vec<NewMessage>,
) -> Result<(), OperationError> {
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
    tx.outbox_written.store(true, Ordering::Relaxed);
    notify_outbox(tx).await
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

/// Draws `count` numbers: returns the first, and whether messages are to be delivered.
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
