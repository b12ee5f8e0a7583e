//! Messages are put into the outbox, numbered so that no reader can miss one.
//!
//! A number is drawn by counting the one row of `outbox_head` up, in the transaction that writes the message. The row's lock
//! is held until that transaction commits, on either database and whichever process it belongs to: a fenced one that still
//! has something under way, or one whose commit was given up on and comes through late. So numbers become visible in their
//! own order and without gaps, and "all that is greater than the last I saw" is everything new.

use std::sync::atomic::Ordering;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect, Statement,
};
use serde_json::Value;
use uuid::Uuid;

use super::deliveries::new_delivery;
use super::many::pieces;
use super::pending::Message;
use crate::store::entities::{id::Id, outbox, outbox_head, webhook_delivery};
use crate::store::fleet::{CHANNEL, Heard, payload};
use crate::store::writer::{Failure, Tx};
use crate::store::{OutboxEntry, StoreError};

/// Puts messages into the outbox, in their order and behind those of others: they are written, and numbered, with theirs.
pub(crate) async fn add_outbox(
    tx: &Tx<'_>,
    relay_id: Uuid,
    channel_id: i64,
    entries: &[OutboxEntry],
) -> Result<(), Failure> {
    for entry in entries {
        let mut message = Message {
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
            tx.write_down().await?;
            message.sequence = last_sequence(tx, relay_id).await? + 1;
            let mut body = entry.body.clone();
            if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
                data.insert("sequence".to_owned(), message.sequence.into());
            }
            message.body = body.to_string();
        }
        tx.pending().outbox.push(message);
    }
    Ok(())
}

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
    tell_others(tx).await
}

/// Other processes hear of it with the commit.
pub(crate) async fn tell_others(tx: &Tx<'_>) -> Result<(), Failure> {
    if tx.sql.get_database_backend() == DbBackend::Postgres {
        let notice = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), payload(None, Heard::Outbox).into()],
        );
        tx.sql.execute_raw(notice).await?;
    }
    Ok(())
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

async fn last_sequence(tx: &Tx<'_>, relay_id: Uuid) -> Result<i64, Failure> {
    let last = outbox::Entity::find()
        .select_only()
        .expr(Expr::col(outbox::Column::Sequence).max())
        .filter(outbox::Column::RelayId.eq(Id(relay_id)))
        .into_tuple::<Option<i64>>()
        .one(&tx.sql)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}
