use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::{Store, StoreError, connect::Target};

/// Makes other processes' migrations wait.
const LOCK_MIGRATIONS: &str = "SELECT pg_advisory_xact_lock(8097873492)";
/// An index on a large table takes long.
const NO_TIME_LIMIT: &str = "SET LOCAL statement_timeout = 0";

/// Whether a migration was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct MigrationStatus {
    pub name: String,
    pub applied: bool,
}

impl Store {
    /// Applies all missing migrations, or on an error none.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let connection = self.migrating();
        let transaction = begin(&connection).await?;
        Migrator::up(&transaction, None).await?;
        Ok(transaction.commit().await?)
    }

    /// Reverts the last `steps` migrations (`None`: all) and deletes their data, or on an error none.
    pub async fn migrate_down(&self, steps: Option<u32>) -> Result<(), StoreError> {
        let connection = self.migrating();
        let transaction = begin(&connection).await?;
        Migrator::down(&transaction, steps).await?;
        Ok(transaction.commit().await?)
    }

    /// All migrations, in order. Writes nothing.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let migrations =
            Migrator::get_migration_with_status_read_only(&self.pools().reader).await?;
        Ok(migrations
            .iter()
            .map(|one| MigrationStatus {
                name: one.name().to_owned(),
                applied: one.status() == migration::MigrationStatus::Applied,
            })
            .collect())
    }

    /// A new connection, except in memory, where there is only one.
    fn migrating(&self) -> DatabaseConnection {
        match self.inner.target {
            Target::Memory(_) => self.pools().reader,
            Target::File(_) | Target::Postgres(_) => self.inner.target.writer(),
        }
    }
}

async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let transaction = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(NO_TIME_LIMIT).await?;
        transaction.execute_unprepared(LOCK_MIGRATIONS).await?;
    }
    Ok(transaction)
}
