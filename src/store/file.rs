//! SQLite's file: who may read it, and whether it is sound.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::{Store, StoreError};

/// Its owner's alone: it holds ids at the vendors, and everybody's relays.
const OWNERS: u32 = 0o600;
/// Permissions of all others.
const OTHERS: u32 = 0o077;

impl Store {
    /// Has SQLite check its file. Returns what it found wrong, in its own words; of a PostgreSQL nothing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the file is no database; [`StoreError::Unavailable`].
    pub async fn quick_check(&self) -> Result<Vec<String>, StoreError> {
        if self.is_shared() {
            return Ok(Vec::new());
        }
        let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(5)");
        let rows = self.read().query_all_raw(check).await?;
        let mut found = Vec::new();
        for row in rows {
            found.push(row.try_get_by_index::<String>(0)?);
        }
        found.retain(|line| line != "ok");
        Ok(found)
    }

    /// The permissions of SQLite's file, when others than its owner have some.
    #[must_use]
    pub fn open_to_others(&self) -> Option<u32> {
        let file = self.inner.target.file()?;
        let mode = file.metadata().ok()?.permissions().mode() & 0o777;
        (mode & OTHERS != 0).then_some(mode)
    }
}

/// Makes the file if there is none, for its owner alone; SQLite gives the files beside it the same permissions. What it
/// cannot do, SQLite cannot either, and says why.
pub(super) fn make(file: &Path) {
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(OWNERS)
        .open(file);
    if let Err(error) = made {
        tracing::trace!(%error, "the database file was not made");
    }
}

/// Takes a file of this user away from all others: an earlier version made it for them too.
pub(super) fn make_private(file: &Path) {
    let Ok(found) = file.metadata() else { return };
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if !is_own || found.mode() & OTHERS == 0 {
        return;
    }
    let name = file.display();
    match std::fs::set_permissions(file, Permissions::from_mode(OWNERS)) {
        Ok(()) => {
            tracing::info!(file = %name, "others could open this file: now only its owner can")
        }
        Err(error) => {
            tracing::warn!(file = %name, %error, "others can open this file, and its permissions cannot be changed")
        }
    }
}
