use sea_orm::{DbErr, RuntimeErr, sqlx};

/// An error of the store. Its text contains no password and no row contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Unreachable, full, locked or shutting down: a retry may work. The outcome of a write is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database rejected a statement; nothing was written.
    #[error("the database rejected the statement: {0}")]
    Refused(String),
    /// Something stored is damaged or of another version.
    #[error("what is stored cannot be read: {0}")]
    Corrupt(String),
    /// The cursor of a page is not one of ours.
    #[error("invalid cursor")]
    BadCursor,
    /// `database.url` is invalid or cannot be opened.
    #[error("database.url (DATABASE_URL) {0}")]
    BadUrl(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) = &error
        {
            return (&**cause).into();
        }
        let text = error.to_string();
        if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
            Self::Unavailable(text)
        } else if matches!(
            error,
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. }
        ) {
            Self::Corrupt(text)
        } else {
            Self::Refused(text)
        }
    }
}

impl From<&sqlx::Error> for StoreError {
    fn from(error: &sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let E::Database(answer) = error {
            let text = answer.message().to_owned();
            return match DatabaseErrorKind::of(&**answer) {
                DatabaseErrorKind::Transient => Self::Unavailable(text),
                DatabaseErrorKind::Damaged => Self::Corrupt(text),
                DatabaseErrorKind::Permanent => Self::Refused(text),
            };
        }
        if matches!(error, E::Configuration(_)) {
            // Its text may quote the URL.
            return Self::BadUrl("cannot be read by the driver".to_owned());
        }
        let text = error.to_string();
        if matches!(
            error,
            E::ColumnDecode { .. } | E::Decode(_) | E::TypeNotFound { .. }
        ) {
            Self::Corrupt(text)
        } else if matches!(
            error,
            E::ColumnNotFound(_) | E::ColumnIndexOutOfBounds { .. } | E::Encode(_) | E::RowNotFound
        ) {
            Self::Refused(text)
        } else {
            Self::Unavailable(text)
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        (&error).into()
    }
}

enum DatabaseErrorKind {
    Transient,
    Damaged,
    Permanent,
}

/// SQLSTATE classes: connection, resources, operator intervention (time limits, shutdown), system, rollback
/// (deadlocks), locks.
const TRANSIENT: [&str; 6] = ["08", "53", "57", "58", "40", "55"];
const READ_ONLY: &str = "25006";
const DAMAGED: &str = "XX";

/// BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
const SQLITE_TRANSIENT: [u32; 7] = [5, 6, 7, 8, 10, 13, 14];
/// CORRUPT, NOTADB.
const SQLITE_DAMAGED: [u32; 2] = [11, 26];

impl DatabaseErrorKind {
    fn of(answer: &dyn sqlx::error::DatabaseError) -> Self {
        let code = answer.code().unwrap_or_default();
        if answer
            .try_downcast_ref::<sqlx::sqlite::SqliteError>()
            .is_some()
        {
            // An extended code holds the primary one in its low byte.
            let primary = code.parse::<u32>().unwrap_or_default() & 0xff;
            return if SQLITE_TRANSIENT.contains(&primary) {
                Self::Transient
            } else if SQLITE_DAMAGED.contains(&primary) {
                Self::Damaged
            } else {
                Self::Permanent
            };
        }
        let class = code.get(..2).unwrap_or_default();
        if TRANSIENT.contains(&class) || code == READ_ONLY {
            Self::Transient
        } else if class == DAMAGED {
            Self::Damaged
        } else {
            Self::Permanent
        }
    }
}
