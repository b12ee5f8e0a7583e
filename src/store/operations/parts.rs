//! What several operations write: journal, cleanup jobs, recordings, cost, idempotency keys.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::many::pieces;
use crate::store::entities::{cleanup_job, cost, idempotency_key, recording, relay_event};
use crate::store::writer::{Failure, Operation, Tx};
use crate::store::{CostRow, IdempotencyRecord, JournalEntry, NewCleanupJob};

/// Appends to a relay's journal, whose last entry is number `last`, as the node of this epoch: with the journals of others.
pub(crate) fn append_journal(
    tx: &Tx<'_>,
    relay_id: Uuid,
    epoch: i64,
    last: i64,
    entries: &[JournalEntry],
) {
    let rows = (last + 1..)
        .zip(entries)
        .map(|(seq, entry)| relay_event::Model::new(relay_id, epoch, seq, entry));
    tx.pending().journal.extend(rows);
}

/// How many cleanup jobs one statement takes on: databases count the values of a statement.
const CLEANUP_JOBS_AT_ONCE: usize = 500;

/// Takes cleanup jobs on; what is owed already is not owed twice.
pub(crate) async fn add_cleanup_jobs(
    tx: &Tx<'_>,
    cleanup_jobs: &[NewCleanupJob],
) -> Result<(), Failure> {
    for some in cleanup_jobs.chunks(CLEANUP_JOBS_AT_ONCE) {
        let rows = some
            .iter()
            .map(|cleanup_job| cleanup_job::Model::from(cleanup_job).into_active_model());
        cleanup_job::Entity::insert_many(rows)
            .on_conflict(
                OnConflict::columns([cleanup_job::Column::Kind, cleanup_job::Column::Target])
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&tx.sql)
            .await?;
    }
    Ok(())
}

/// Writes an operation's recordings as they are now. Nothing else writes recordings: what is remembered of channels' last
/// ones is forgotten by what an operation says it writes.
pub(crate) async fn put_recordings(tx: &Tx<'_>, operation: &impl Operation) -> Result<(), Failure> {
    use recording::Column as C;
    let recordings = operation.recordings();
    if recordings.is_empty() {
        return Ok(());
    }
    let rows = recordings
        .iter()
        .map(|recording| recording::Model::from(recording).into_active_model());
    recording::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::column(C::Id)
                .update_columns([
                    C::State,
                    C::DurationSeconds,
                    C::HlsUrl,
                    C::DashUrl,
                    C::ThumbnailUrl,
                    C::ReadyAt,
                ])
                .to_owned(),
        )
        .exec_without_returning(&tx.sql)
        .await?;
    Ok(())
}

/// Enters a cost into the ledger, unless its relay has one.
pub(crate) async fn add_cost(tx: &Tx<'_>, cost: &CostRow) -> Result<(), Failure> {
    cost::Entity::insert(cost::ActiveModel::from(cost))
        .on_conflict(
            OnConflict::column(cost::Column::RelayId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(&tx.sql)
        .await?;
    Ok(())
}

/// Remembers which relays keys made or met, and says how many; the first to say so of a key is right.
pub(crate) async fn remember(tx: &Tx<'_>, keys: &[IdempotencyRecord]) -> Result<u64, Failure> {
    let mut remembered = 0;
    for piece in pieces(keys) {
        let rows = piece.iter().map(idempotency_key::Model::from);
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

/// What is remembered of a key.
pub(crate) async fn recall(tx: &Tx<'_>, key: &str) -> Result<Option<IdempotencyRecord>, Failure> {
    let found = idempotency_key::Entity::find_by_id(key.to_owned())
        .one(&tx.sql)
        .await?;
    Ok(found.map(Into::into))
}

/// The older of what stands and `time`: what was once set is not set again.
pub(crate) fn first(stands: Option<DateTime<Utc>>, time: DateTime<Utc>) -> DateTime<Utc> {
    stands.unwrap_or(time)
}
