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
use crate::store::entities::{id::Id, outbox, outbox_head, webhook_delivery};
use crate::store::fleet::{CHANNEL, Heard, payload};
use crate::store::writer::{Failure, Tx};
use crate::store::{OutboxEntry, StoreError};

/// Puts messages into the outbox, in their order.
pub(crate) async fn add_outbox(
    tx: &Tx<'_>,
    relay_id: Uuid,
    channel_id: i64,
    entries: &[OutboxEntry],
) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let (first, delivers) = draw(tx, entries.len()).await?;
    for (id, entry) in (first..).zip(entries) {
        let mut body = entry.body.clone();
        let sequence = match entry.sequence {
            Some(sequence) => sequence,
            None => {
                let next = last_sequence(tx, relay_id).await? + 1;
                if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
                    data.insert("sequence".to_owned(), next.into());
                }
                next
            }
        };
        let row = outbox::Model {
            id,
            relay_id: relay_id.into(),
            channel_id,
            sequence,
            kind: entry.kind.clone(),
            body: body.to_string(),
            created_at: entry.created_at,
        };
        outbox::Entity::insert(row.into_active_model())
            .exec_without_returning(&tx.sql)
            .await?;
        if delivers {
            let delivery = new_delivery(id, channel_id, entry.created_at);
            webhook_delivery::Entity::insert(delivery.into_active_model())
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
