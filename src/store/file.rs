//! SQLite's file: its permissions and its integrity.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::{Store, StoreError};

const OWNER_ONLY: u32 = 0o600;
const OTHERS: u32 = 0o077;

impl Store {
    /// What SQLite's quick check complains about. Empty on PostgreSQL.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the file is not a database.
    pub async fn quick_check(&self) -> Result<Vec<String>, StoreError> {
        if self.is_shared() {
            return Ok(Vec::new());
        }
        let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(5)");
        let rows = self.read().query_all_raw(check).await?;
        let mut complaints = Vec::new();
        for row in rows {
            complaints.push(row.try_get_by_index::<String>(0)?);
        }
        complaints.retain(|line| line != "ok");
        Ok(complaints)
    }

    /// The mode of SQLite's file if group or others have access.
    #[must_use]
    pub fn open_to_others(&self) -> Option<u32> {
        let file = self.inner.target.file()?;
        let mode = file.metadata().ok()?.permissions().mode() & 0o777;
        (mode & OTHERS != 0).then_some(mode)
    }
}

/// Creates a missing file; SQLite copies its permissions to the files beside it. SQLite will report the error, if any.
pub(super) fn create_private(file: &Path) {
    let created = File::options()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(file);
    if let Err(error) = created {
        tracing::trace!(%error, "the database file was not created");
    }
}

/// Removes other users' access to a file, if this user owns it.
pub(super) fn make_private(file: &Path) {
    let Ok(found) = file.metadata() else { return };
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if !is_own || found.mode() & OTHERS == 0 {
        return;
    }
    let name = file.display();
    match std::fs::set_permissions(file, Permissions::from_mode(OWNER_ONLY)) {
        Ok(()) => {
            tracing::info!(file = %name, "removed the access of other users to the database file")
        }
        Err(error) => {
            tracing::warn!(file = %name, %error, "other users have access to the database file, and it cannot be removed")
        }
    }
}
