//! One process acts on a SQLite file at a time: who holds its lock, an exclusive one on `<file>.lock`, which the kernel gives
//! back when the process dies. On PostgreSQL several act, each on what is its own: see [`Store::join`](super::Store::join).

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::connect::Target;
use super::file::make_private;
use crate::config::DatabaseSettings;

/// The right to act on a database; given back when dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    /// The lock lives as long as the file is open. Others than a file need none: a database in memory has nobody to share it
    /// with, and PostgreSQL's is for all.
    _open: Option<File>,
}

/// Another process holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBy {
    /// Its process id, when it could be learnt.
    pub pid: Option<u32>,
}

impl DatabaseLock {
    /// Takes the lock if nobody holds it; never waits for a holder.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the lock file cannot be reached; [`StoreError::BadUrl`].
    pub fn try_acquire(settings: &DatabaseSettings) -> Result<Result<Self, HeldBy>, StoreError> {
        match Target::of(settings)?.file() {
            Some(file) => lock_file(&file)
                .map_err(|error| StoreError::Unavailable(format!("the lock file: {error}"))),
            None => Ok(Ok(Self { _open: None })),
        }
    }
}

fn lock_file(database: &Path) -> std::io::Result<Result<DatabaseLock, HeldBy>> {
    let database = real_path(database)?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // Others could lock what they can open.
        .mode(0o600)
        .open(beside(&database, ".lock"))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            file.flush()?;
            file.rewind()?;
            for end in ["", "-wal", "-shm", ".lock"] {
                make_private(&beside(&database, end));
            }
            Ok(Ok(DatabaseLock { _open: Some(file) }))
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

/// The same for every way of naming the file.
fn real_path(database: &Path) -> std::io::Result<PathBuf> {
    match database.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = database
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            Ok(folder
                .canonicalize()?
                .join(database.file_name().unwrap_or_default()))
        }
        found => found,
    }
}

/// A file that belongs to the database: its own name with another end.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(end);
    path.into()
}
