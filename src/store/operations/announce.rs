use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde_json::Value;

use super::bulk::flush;
use crate::store::entities::outbox;
use crate::store::writer::{OperationError, Tx};
use crate::store::{Id, OutboxEntry, OutboxMessage, StoredRelay};

/// Buffers messages to the marketplace, in order.
pub(crate) async fn add_outbox(
    tx: &Tx<'_>,
    relay: &StoredRelay,
    entries: &[OutboxEntry],
) -> Result<(), OperationError> {
    for entry in entries {
        let mut message = OutboxMessage {
            id: 0,
            relay_id: relay.id,
            channel_id: relay.channel_id,
            sequence: 0,
            kind: entry.kind.into(),
            body: String::new(),
            created_at: entry.created_at,
        };
        if let Some(sequence) = entry.sequence {
            message.sequence = sequence;
            message.body = entry.body.to_string();
        } else {
            flush(tx).await?;
            message.sequence = last_sequence(tx, relay.id).await? + 1;
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

async fn last_sequence(tx: &Tx<'_>, relay_id: Id) -> Result<i64, OperationError> {
    let last = outbox::Entity::find()
        .select_only()
        .expr(Expr::col(outbox::Column::Sequence).max())
        .filter(outbox::Column::RelayId.eq(relay_id))
        .into_tuple::<Option<i64>>()
        .one(&tx.sql)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}
