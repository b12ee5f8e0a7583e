//! Writes the buffered rows of a batch.

use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict};
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, ModelTrait};

use super::many_rows::{given, pieces, update_from};
use super::outbox::write_messages;
use super::parts::remember;
use super::projection::{refresh_rows, take_rows};
use crate::store::StoreError;
use crate::store::entities::{relay, relay_event};
use crate::store::writer::{OperationError, RelayUpdate, Tx};

/// Writes all buffered rows or fails. Changed relays come before new ones: they may free slots. New relays take over
/// their channels' rows first; the relays shown there before may then still add their recordings.
pub(crate) async fn flush(tx: &Tx<'_>) -> Result<(), OperationError> {
    let rows = std::mem::take(&mut *tx.batched_rows());
    all_of(update_relays(tx, &rows.changed).await?, rows.changed.len())?;
    all_of(remember(tx, &rows.keys).await?, rows.keys.len())?;
    all_of(insert_relays(tx, &rows.created).await?, rows.created.len())?;
    for piece in pieces(&rows.journal) {
        let entries = piece
            .iter()
            .cloned()
            .map(IntoActiveModel::into_active_model);
        relay_event::Entity::insert_many(entries)
            .exec_without_returning(&tx.sql)
            .await?;
    }
    take_rows(tx, &rows.taken).await?;
    refresh_rows(tx, &rows.refreshed).await?;
    write_messages(tx, rows.outbox).await
}

fn all_of(written: u64, rows: usize) -> Result<(), StoreError> {
    if written == rows as u64 {
        Ok(())
    } else {
        Err(StoreError::Refused(format!(
            "{written} of {rows} rows were written"
        )))
    }
}

/// Inserts relays and returns the row count. Skips relays that exist, or whose channel's slot is held.
pub(crate) async fn insert_relays(
    tx: &Tx<'_>,
    relays: &[relay::Model],
) -> Result<u64, OperationError> {
    let mut inserted = 0;
    for piece in pieces(relays) {
        let rows = piece.iter().cloned();
        inserted += relay::Entity::insert_many(rows.map(IntoActiveModel::into_active_model))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&tx.sql)
            .await?;
    }
    Ok(inserted)
}

/// Updates relays and returns the row count. Skips rows whose epoch or revision differs. Never writes
/// `stop_requested_at`.
pub(crate) async fn update_relays(
    tx: &Tx<'_>,
    changes: &[RelayUpdate],
) -> Result<u64, OperationError> {
    const EXPECTED: &str = "expected_revision";
    let mut changed = 0;
    for piece in pieces(changes) {
        let columns = relay::Column::iter().map(IntoIden::into_iden);
        let rows = piece.iter().map(|change| {
            let row = relay::Column::iter().map(|column| change.row.get(column));
            row.chain([change.expected_revision.into()]).collect()
        });
        let written = relay::Column::iter()
            .filter(|column| !matches!(column, relay::Column::Id | relay::Column::StopRequestedAt))
            .map(|column| (column, given(column)));
        let stored = |column: relay::Column| Expr::col((relay::Entity, column));
        let update = update_from(columns.chain([EXPECTED.into_iden()]), rows)
            .table(relay::Entity)
            .values(written)
            .and_where(stored(relay::Column::Id).eq(given(relay::Column::Id)))
            .and_where(stored(relay::Column::Epoch).eq(given(relay::Column::Epoch)))
            .and_where(stored(relay::Column::Revision).eq(given(EXPECTED)))
            .to_owned();
        changed += tx.sql.execute(&update).await?.rows_affected();
    }
    Ok(changed)
}
