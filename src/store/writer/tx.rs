use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, MutexGuard};
use sea_orm::DatabaseTransaction;

use super::batched_rows::BatchedRows;
use crate::store::sql::Sql;

/// The transaction that an operation runs in.
pub(in crate::store) struct Tx<'a> {
    pub(in crate::store) sql: Sql<'a, DatabaseTransaction>,
    /// Whether operations run as a batch: a conflict may then show only when rows are written, and fails the batch.
    pub(in crate::store) together: bool,
    /// Whether `channels` is written.
    pub(in crate::store) project: bool,
    /// Set if the outbox or its deliveries were written: listeners are notified after the commit.
    pub(in crate::store) outbox_written: &'a AtomicBool,
    batched_rows: Mutex<BatchedRows>,
}

impl<'a> Tx<'a> {
    pub(super) fn together(
        transaction: &'a DatabaseTransaction,
        outbox_written: &'a AtomicBool,
    ) -> Self {
        Self {
            sql: Sql(transaction),
            together: true,
            project: true,
            outbox_written,
            batched_rows: Mutex::default(),
        }
    }

    pub(super) fn alone(
        transaction: &'a DatabaseTransaction,
        outbox_written: &'a AtomicBool,
    ) -> Self {
        Self {
            together: false,
            ..Self::together(transaction, outbox_written)
        }
    }

    pub(super) fn without_projection(
        transaction: &'a DatabaseTransaction,
        outbox_written: &'a AtomicBool,
    ) -> Self {
        Self {
            project: false,
            ..Self::alone(transaction, outbox_written)
        }
    }

    pub(in crate::store) fn batched_rows(&self) -> MutexGuard<'_, BatchedRows> {
        self.batched_rows.lock()
    }
}
