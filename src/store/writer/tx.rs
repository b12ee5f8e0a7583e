//! The transaction operations work in, and what they leave to be written for all of them together.

use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, MutexGuard};
use sea_orm::DatabaseTransaction;

use super::pending::Pending;
use crate::store::sql::Sql;

/// The transaction an operation works in.
pub(in crate::store) struct Tx<'a> {
    /// Where its statements go.
    pub(in crate::store) sql: Sql<'a, DatabaseTransaction>,
    /// Whether operations run together: then rows may wait to be written with those of others, and what is not as it should
    /// be fails all of them. Each then runs alone, and finds out.
    pub(in crate::store) together: bool,
    /// Whether `channels` is written as well.
    pub(in crate::store) project: bool,
    /// Set when the outbox, or what is to be delivered of it, was written: whoever waits for that is told after the commit.
    pub(in crate::store) told: &'a AtomicBool,
    pending: Mutex<Pending>,
}

impl<'a> Tx<'a> {
    /// For operations that run together.
    pub(super) fn together(transaction: &'a DatabaseTransaction, told: &'a AtomicBool) -> Self {
        Self {
            sql: Sql(transaction),
            together: true,
            project: true,
            told,
            pending: Mutex::default(),
        }
    }

    /// For one operation.
    pub(super) fn alone(transaction: &'a DatabaseTransaction, told: &'a AtomicBool) -> Self {
        Self {
            together: false,
            ..Self::together(transaction, told)
        }
    }

    /// The same, but `channels` is left as it is.
    pub(super) fn without_projection(
        transaction: &'a DatabaseTransaction,
        told: &'a AtomicBool,
    ) -> Self {
        Self {
            project: false,
            ..Self::alone(transaction, told)
        }
    }

    /// What is left to be written, and what is known of what stands.
    pub(in crate::store) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }
}
