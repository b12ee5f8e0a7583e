//! Runs a batch in one transaction.
//!
//! First all operations run together, without savepoints, and the rows they buffer are [written](flush) in a few
//! statements: savepoints and single-row statements are most of a write's cost. If anything fails, which is rare, the
//! transaction is rolled back and each operation runs in a savepoint, so that it fails alone.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::{AnyOperation, Ran, Tx};
use crate::store::StoreError;
use crate::store::operations::bulk::flush;
use crate::store::operations::outbox::lock_head;

/// Runs and commits a batch. Returns the commit's duration; an error fails the whole batch.
pub(super) async fn transact(
    connection: &DatabaseConnection,
    batch: &mut [Box<dyn AnyOperation>],
    outbox_written: &AtomicBool,
) -> Result<Duration, StoreError> {
    let writes_outbox = batch.iter().any(|job| job.writes_outbox());
    let mut transaction = begin(connection, writes_outbox).await?;
    if !together(&transaction, batch, outbox_written).await {
        transaction.rollback().await?;
        transaction = begin(connection, writes_outbox).await?;
        for job in batch {
            alone(&transaction, job.as_mut(), outbox_written).await?;
        }
    }
    let begun = Instant::now();
    transaction.commit().await?;
    Ok(begun.elapsed())
}

async fn begin(
    connection: &DatabaseConnection,
    writes_outbox: bool,
) -> Result<DatabaseTransaction, StoreError> {
    let transaction = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if writes_outbox {
        lock_head(&transaction).await?;
    }
    Ok(transaction)
}

/// Returns false if an operation or a buffered row failed.
async fn together(
    transaction: &DatabaseTransaction,
    batch: &mut [Box<dyn AnyOperation>],
    outbox_written: &AtomicBool,
) -> bool {
    let tx = Tx::together(transaction, outbox_written);
    for job in batch {
        if !job.is_batchable() && flush(&tx).await.is_err() {
            return false;
        }
        if !matches!(job.run(&tx).await, Ran::Ok) {
            return false;
        }
    }
    flush(&tx).await.is_ok()
}

/// An error fails the whole batch: the transaction is lost.
async fn alone(
    transaction: &DatabaseTransaction,
    job: &mut dyn AnyOperation,
    outbox_written: &AtomicBool,
) -> Result<(), StoreError> {
    let mut tx = Tx::alone(transaction, outbox_written);
    loop {
        transaction.execute_unprepared("SAVEPOINT request").await?;
        let mut ran = job.run(&tx).await;
        if matches!(ran, Ran::Ok)
            && let Err(failure) = flush(&tx).await
        {
            ran = job.fail(failure);
        }
        if !matches!(ran, Ran::Ok) {
            transaction
                .execute_unprepared("ROLLBACK TO SAVEPOINT request")
                .await?;
        }
        transaction
            .execute_unprepared("RELEASE SAVEPOINT request")
            .await?;
        if let Ran::Projection(error) = ran {
            // The marketplace's table must not stop a relay.
            tracing::error!(%error, "the channels table refuses what relaykeeper writes; the relay goes on without");
            tx = Tx::without_projection(transaction, outbox_written);
        } else {
            return Ok(());
        }
    }
}
