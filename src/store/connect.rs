//! Opens the database: one connection for writes and a pool for reads.
//!
//! SQLite uses WAL with `synchronous=FULL`: intents, costs and the outbox survive a power loss. PostgreSQL has time
//! limits on everything: a server that hangs counts as unavailable.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::sqlx::{
    self, ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use secrecy::ExposeSecret;

use super::StoreError;
use crate::config::{DatabaseKind, DatabaseSettings, DatabaseUrl};

/// Longest wait for a connection, for its first answer, and for a lock of SQLite.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Connections for the fleet's statements, which must not wait for the writer.
const FLEET: u32 = 2;
/// Connections for lease renewals, which must not wait at all.
const RENEWALS: u32 = 1;
/// PostgreSQL's time limits, in milliseconds.
const LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "10000"),
    ("lock_timeout", "5000"),
    ("idle_in_transaction_session_timeout", "5000"),
];

/// All connections but the writer's. On SQLite the three are one pool.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) reader: DatabaseConnection,
    pub(super) fleet: DatabaseConnection,
    pub(super) renewals: DatabaseConnection,
}

/// Where the database is, and how it is opened.
#[derive(Clone)]
pub(super) enum Target {
    File(SqliteConnectOptions),
    /// SQLite in memory: exists as long as its one connection.
    Memory(SqliteConnectOptions),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    pub(super) fn of(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let url = DatabaseUrl::parse(settings.url.expose_secret()).map_err(StoreError::BadUrl)?;
        let text = url.text.expose_secret();
        Ok(match url.kind {
            DatabaseKind::File => Self::File(sqlite(text)?),
            DatabaseKind::Memory => Self::Memory(sqlite(text)?),
            DatabaseKind::Postgres => Self::Postgres(Box::new(
                text.parse::<PgConnectOptions>()?
                    .options(LIMITS)
                    .application_name("relaykeeper")
                    .disable_statement_logging(),
            )),
        })
    }

    /// Checks the folder before the file is opened: SQLite reports every failure alike.
    pub(super) fn check_folder(&self) -> Result<(), StoreError> {
        let Some(file) = self.file() else {
            return Ok(());
        };
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => Err(StoreError::BadUrl(format!(
                "names a file in {}, which is not a folder: make it first (an absolute path has three slashes, \
                 sqlite:///var/lib/relaykeeper.db)",
                folder.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Connects once, directly: a pool would retry until its timeout and lose the cause.
    pub(super) async fn check_answers(&self) -> Result<(), StoreError> {
        if let Self::Postgres(options) = self {
            timely(timely(options.connect()).await?.close()).await?;
        }
        Ok(())
    }

    pub(super) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(options) => Some(options.get_filename().to_path_buf()),
            Self::Memory(_) | Self::Postgres(_) => None,
        }
    }

    /// One connection for writes, opened when it is first used and when it broke.
    pub(super) fn writer(&self) -> DatabaseConnection {
        match self {
            Self::File(options) | Self::Memory(options) => {
                SqlxSqliteConnector::from_sqlx_sqlite_pool(
                    SqlitePoolOptions::new()
                        .max_connections(1)
                        .acquire_timeout(ACQUIRE)
                        .idle_timeout(None)
                        .max_lifetime(None)
                        .connect_lazy_with(options.clone()),
                )
            }
            Self::Postgres(options) => SqlxPostgresConnector::from_sqlx_postgres_pool(
                PgPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(ACQUIRE)
                    .idle_timeout(None)
                    .connect_lazy_with(*options.clone()),
            ),
        }
    }

    pub(super) fn pools(&self, writer: &DatabaseConnection, readers: u32) -> Pools {
        let reader = self.reader(writer, readers);
        let pool = |most| match self {
            Self::Memory(_) | Self::File(_) => reader.clone(),
            Self::Postgres(options) => SqlxPostgresConnector::from_sqlx_postgres_pool(
                PgPoolOptions::new()
                    .max_connections(most)
                    .acquire_timeout(ACQUIRE)
                    .connect_lazy_with(*options.clone()),
            ),
        };
        Pools {
            fleet: pool(FLEET),
            renewals: pool(RENEWALS),
            reader,
        }
    }

    fn reader(&self, writer: &DatabaseConnection, readers: u32) -> DatabaseConnection {
        match self {
            Self::Memory(_) => writer.clone(),
            Self::File(options) => SqlxSqliteConnector::from_sqlx_sqlite_pool(
                SqlitePoolOptions::new()
                    .max_connections(readers)
                    .acquire_timeout(ACQUIRE)
                    .connect_lazy_with(
                        options
                            .clone()
                            .create_if_missing(false)
                            .pragma("query_only", "ON"),
                    ),
            ),
            Self::Postgres(options) => SqlxPostgresConnector::from_sqlx_postgres_pool(
                PgPoolOptions::new()
                    .max_connections(readers)
                    .acquire_timeout(ACQUIRE)
                    .connect_lazy_with(*options.clone()),
            ),
        }
    }
}

fn sqlite(text: &str) -> Result<SqliteConnectOptions, StoreError> {
    Ok(text
        .parse::<SqliteConnectOptions>()?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(ACQUIRE)
        .disable_statement_logging())
}

pub(super) async fn timely<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(ACQUIRE, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(StoreError::Unavailable(
            "PostgreSQL does not answer".to_owned(),
        )),
    }
}
