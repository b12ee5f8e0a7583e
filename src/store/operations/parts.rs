//! Writes that several operations share.

use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, IntoActiveModel};

use super::many_rows::pieces;
use crate::store::entities::{cleanup_job, cost, idempotency_key, recording, relay_event};
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{CleanupJobRow, IdempotencyRecord, JournalEntry, LedgerRow, StoredRelay};

/// Buffers a relay's next journal entries.
pub(crate) fn append_journal(tx: &Tx<'_>, relay: &StoredRelay, entries: &[JournalEntry]) {
    let rows = journal_rows(relay, entries);
    tx.batched_rows().journal.extend(rows);
}

/// The rows of the entries that follow the relay's revision.
pub(crate) fn journal_rows(
    relay: &StoredRelay,
    entries: &[JournalEntry],
) -> impl Iterator<Item = relay_event::Model> {
    (relay.revision + 1..)
        .zip(entries)
        .map(|(seq, entry)| relay_event::Model::new(relay, seq, entry))
}

/// Databases limit a statement's number of values.
const CLEANUP_JOBS_AT_ONCE: usize = 500;

pub(crate) async fn add_cleanup_jobs(
    tx: &Tx<'_>,
    cleanup_jobs: &[CleanupJobRow],
) -> Result<(), OperationError> {
    use cleanup_job::Column as C;
    for chunk in cleanup_jobs.chunks(CLEANUP_JOBS_AT_ONCE) {
        let rows = chunk
            .iter()
            .map(|cleanup_job| cleanup_job.clone().into_active_model());
        cleanup_job::Entity::insert_many(rows)
            .on_conflict(
                OnConflict::columns([C::Platform, C::Kind, C::Target])
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&tx.sql)
            .await?;
    }
    Ok(())
}

/// Only this writes recordings: the writer removes those of [`Operation::recordings`] from the cache of last
/// recordings.
pub(crate) async fn put_recordings(
    tx: &Tx<'_>,
    operation: &impl Operation,
) -> Result<(), OperationError> {
    use recording::Column as C;
    let recordings = operation.recordings();
    if recordings.is_empty() {
        return Ok(());
    }
    let rows = recordings
        .iter()
        .map(|recording| recording.clone().into_active_model());
    recording::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::columns([C::Platform, C::Id])
                .update_columns([
                    C::State,
                    C::DurationSeconds,
                    C::HlsUrl,
                    C::DashUrl,
                    C::ThumbnailUrl,
                    C::Location,
                    C::ReadyAt,
                ])
                .to_owned(),
        )
        .exec_without_returning(&tx.sql)
        .await?;
    Ok(())
}

/// A relay's second cost is ignored.
pub(crate) async fn add_cost(tx: &Tx<'_>, cost: &LedgerRow) -> Result<(), OperationError> {
    cost::Entity::insert(cost.clone().into_active_model())
        .on_conflict(
            OnConflict::column(cost::Column::RelayId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(&tx.sql)
        .await?;
    Ok(())
}

/// Stores idempotency keys and returns the row count. A key's first use is kept.
pub(crate) async fn remember(
    tx: &Tx<'_>,
    keys: &[IdempotencyRecord],
) -> Result<u64, OperationError> {
    let mut remembered = 0;
    for piece in pieces(keys) {
        let rows = piece.iter().cloned();
        remembered +=
            idempotency_key::Entity::insert_many(rows.map(IntoActiveModel::into_active_model))
                .on_conflict(
                    OnConflict::column(idempotency_key::Column::Key)
                        .do_nothing()
                        .to_owned(),
                )
                .exec_without_returning(&tx.sql)
                .await?;
    }
    Ok(remembered)
}

pub(crate) async fn recall(
    tx: &Tx<'_>,
    key: &str,
) -> Result<Option<IdempotencyRecord>, OperationError> {
    let found = idempotency_key::Entity::find_by_id(key.to_owned());
    Ok(found.one(&tx.sql).await?)
}
