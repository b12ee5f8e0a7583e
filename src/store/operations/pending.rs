//! Writes what operations of one transaction left to be written together: a statement for all rows of a table.

use sea_orm::{EntityTrait, IntoActiveModel};

use super::many::pieces;
use super::outbox::write_messages;
use super::parts::remember;
use super::projection::{refresh_rows, take_rows};
use super::relays;
use crate::store::StoreError;
use crate::store::entities::relay_event;
use crate::store::writer::{Failure, Tx};

/// Writes all pending rows, or fails; what was known of the database is forgotten. Changed relays come first: one of them may
/// give its channel's slot to a new relay. A new relay takes its channel's row before the relay that had it shows its recording.
pub(crate) async fn write_down(tx: &Tx<'_>) -> Result<(), Failure> {
    let pending = std::mem::take(&mut *tx.pending());
    all_of(
        relays::update(tx, &pending.changed).await?,
        pending.changed.len(),
    )?;
    all_of(remember(tx, &pending.keys).await?, pending.keys.len())?;
    all_of(
        relays::insert(tx, &pending.created).await?,
        pending.created.len(),
    )?;
    for rows in pieces(&pending.journal) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        relay_event::Entity::insert_many(rows)
            .exec_without_returning(&tx.sql)
            .await?;
    }
    take_rows(tx, &pending.taken).await?;
    refresh_rows(tx, &pending.refreshed).await?;
    write_messages(tx, pending.outbox).await
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
