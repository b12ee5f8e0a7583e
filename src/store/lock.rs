//! One process acts on a database at a time: who holds its lock.
//!
//! SQLite: an exclusive lock on `<file>.lock`, which the kernel gives back when the process dies. PostgreSQL: an advisory
//! lock on a connection of its own, which the server gives back when the connection ends; it is asked every second whether
//! it still stands. Saves are fenced by epoch besides: who lost the lock without noticing writes nothing.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::{self, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::StoreError;
use super::connect::{Target, timely};
use crate::config::Database;

/// Advisory locks are numbers, apart in each database: this one is "relaykpr".
const KEY: i64 = i64::from_be_bytes(*b"relaykpr");
/// Between two questions whether the connection still stands.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How a holder's connection is named, before its pid.
const NAME: &str = "relaykeeper lock ";
/// Makes the server notice within some ten seconds that a holder's machine is gone (seconds, seconds, times).
const KEEPALIVE: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

/// The right to act on a database; given back when dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    held: Held,
}

/// Another process holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBy {
    /// Its process id, when it could be learnt.
    pub pid: Option<u32>,
}

#[derive(Debug)]
enum Held {
    /// A database in memory has nobody to share it with.
    Alone,
    /// The lock lives as long as the file is open.
    File { _open: File },
    /// The lock lives as long as the task that keeps the connection.
    Connection {
        lost: CancellationToken,
        _keep: DropGuard,
    },
}

impl DatabaseLock {
    /// Takes the lock if nobody holds it; never waits for a holder.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database, or the lock file, cannot be reached; [`StoreError::BadUrl`].
    pub async fn try_acquire(settings: &Database) -> Result<Result<Self, HeldBy>, StoreError> {
        let target = Target::of(settings)?;
        if let Some(file) = target.file() {
            return lock_file(&file)
                .map_err(|error| StoreError::Unavailable(format!("the lock file: {error}")));
        }
        match target {
            Target::Postgres(options) => lock_connection(*options).await,
            Target::Memory(_) | Target::File(_) => Ok(Ok(Self { held: Held::Alone })),
        }
    }

    /// Returns when the lock was lost, so that its holder stops acting. A file's lock is never lost.
    pub async fn lost(&self) {
        match &self.held {
            Held::Connection { lost, .. } => lost.cancelled().await,
            Held::Alone | Held::File { .. } => std::future::pending().await,
        }
    }
}

fn lock_file(database: &Path) -> std::io::Result<Result<DatabaseLock, HeldBy>> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_path(database)?)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            file.flush()?;
            file.rewind()?;
            let held = Held::File { _open: file };
            Ok(Ok(DatabaseLock { held }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            let pid = holder.trim().parse().ok();
            Ok(Err(HeldBy { pid }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `<file>.lock`, the same for every way of naming the file.
fn lock_path(database: &Path) -> std::io::Result<PathBuf> {
    let real = match database.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = database
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            folder
                .canonicalize()?
                .join(database.file_name().unwrap_or_default())
        }
        Err(error) => return Err(error),
    };
    let mut path = real.into_os_string();
    path.push(".lock");
    Ok(path.into())
}

async fn lock_connection(
    options: PgConnectOptions,
) -> Result<Result<DatabaseLock, HeldBy>, StoreError> {
    let options = options
        .application_name(&format!("{NAME}{}", std::process::id()))
        .options(KEEPALIVE);
    let mut connection = timely(options.connect()).await?;
    let taken = timely(
        sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)")
            .bind(KEY)
            .fetch_one(&mut connection),
    )
    .await?;
    if !taken {
        let pid = timely(holder(&mut connection)).await?;
        return Ok(Err(HeldBy { pid }));
    }
    let lost = CancellationToken::new();
    let released = CancellationToken::new();
    tokio::spawn(keep(connection, lost.clone(), released.clone()));
    let _keep = released.drop_guard();
    Ok(Ok(DatabaseLock {
        held: Held::Connection { lost, _keep },
    }))
}

/// The pid in the name of the connection that holds the lock; PostgreSQL shows it to the same role only.
async fn holder(connection: &mut PgConnection) -> Result<Option<u32>, sqlx::Error> {
    let name = sqlx::query_scalar::<_, Option<String>>(
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND (l.classid::bigint << 32) | l.objid::bigint = $1",
    )
    .bind(KEY)
    .fetch_optional(connection)
    .await?
    .flatten();
    Ok(name.and_then(|name| name.strip_prefix(NAME)?.parse().ok()))
}

/// Keeps the connection until it breaks or its lock is given back.
async fn keep(mut connection: PgConnection, lost: CancellationToken, released: CancellationToken) {
    let lost = lost.drop_guard();
    loop {
        tokio::select! {
            () = released.cancelled() => break,
            () = tokio::time::sleep(PING_INTERVAL) => {
                if let Err(error) = timely(connection.ping()).await {
                    tracing::error!(%error, "the lock on the database was lost");
                    return;
                }
            }
        }
    }
    // Given back, not lost.
    lost.disarm();
    // The server gives the lock back as well when the connection just ends.
    let _ = timely(connection.close()).await;
}
