//! One process at a time uses a SQLite file: it holds an exclusive lock on `<file>.lock`, which the kernel releases
//! when the process ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::connect::Target;
use super::file::make_private;
use crate::config::DatabaseSettings;

/// The lock; dropping it releases it.
#[derive(Debug)]
pub struct DatabaseLock {
    /// `None` in memory and on PostgreSQL, which need no lock.
    _open: Option<File>,
}

/// Another process holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBy {
    /// Its process id, if it could be read.
    pub pid: Option<u32>,
}

impl DatabaseLock {
    /// Takes the lock if it is free; never waits.
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
        // Another user who can open the file could lock it.
        .mode(0o600)
        .open(beside(&database, ".lock"))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            file.flush()?;
            file.rewind()?;
            for suffix in ["", "-wal", "-shm", ".lock"] {
                make_private(&beside(&database, suffix));
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

/// Resolves links: the file has one lock, whatever its name.
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

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
