//! One transaction for all that wait.
//!
//! First they run together, without savepoints, and what they leave to be [written down](write_down) is written in a few
//! statements for all. When one of them fails, or a row is not as it should be, all of that is taken back, and each runs again
//! in a savepoint of its own, so that it fails alone. That is rare; savepoints and statements of one's own are most of what a
//! write costs.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::{Job, Ran, Tx};
use crate::store::StoreError;
use crate::store::operations::outbox::hold_head;
use crate::store::operations::pending::write_down;

/// Runs all jobs and commits them; how long the commit itself took. An error is everybody's: the transaction is gone.
pub(super) async fn transact(
    connection: &DatabaseConnection,
    batch: &mut [Box<dyn Job>],
    told: &AtomicBool,
) -> Result<Duration, StoreError> {
    let writes_outbox = batch.iter().any(|job| job.writes_outbox());
    let mut transaction = begin(connection, writes_outbox).await?;
    if !together(&transaction, batch, told).await {
        transaction.rollback().await?;
        transaction = begin(connection, writes_outbox).await?;
        for job in batch {
            alone(&transaction, job.as_mut(), told).await?;
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
        hold_head(&transaction).await?;
    }
    Ok(transaction)
}

/// Runs all jobs; whether all of it went well.
async fn together(
    transaction: &DatabaseTransaction,
    batch: &mut [Box<dyn Job>],
    told: &AtomicBool,
) -> bool {
    let tx = Tx::together(transaction, told);
    for job in batch {
        if !job.leaves_rows() && write_down(&tx).await.is_err() {
            return false;
        }
        if !matches!(job.run(&tx).await, Ran::Well) {
            return false;
        }
    }
    write_down(&tx).await.is_ok()
}

/// Runs one job in its savepoint. An error here is the whole batch's: the transaction is gone.
async fn alone(
    transaction: &DatabaseTransaction,
    job: &mut dyn Job,
    told: &AtomicBool,
) -> Result<(), StoreError> {
    let mut tx = Tx::alone(transaction, told);
    loop {
        transaction.execute_unprepared("SAVEPOINT request").await?;
        let mut ran = job.run(&tx).await;
        if matches!(ran, Ran::Well)
            && let Err(failure) = write_down(&tx).await
        {
            ran = job.fail(failure);
        }
        if !matches!(ran, Ran::Well) {
            transaction
                .execute_unprepared("ROLLBACK TO SAVEPOINT request")
                .await?;
        }
        transaction
            .execute_unprepared("RELEASE SAVEPOINT request")
            .await?;
        if let Ran::Projection(error) = ran {
            // The relay's life does not hang on what someone else's table takes.
            tracing::error!(%error, "the channels table refuses what relaykeeper writes; the relay goes on without");
            tx = Tx::without_projection(transaction, told);
        } else {
            return Ok(());
        }
    }
}
