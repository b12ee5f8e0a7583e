//! What can go wrong in the store, classified by what the caller can do about it.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The store could not do it. Its texts name no password and hold no row's contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, locked or going away: later it may work. Of a write, the outcome is
    /// unknown: it may have been committed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database took offence at this one statement; nothing of the request was written.
    #[error("the database refused it: {0}")]
    Refused(String),
    /// What is stored cannot be read.
    #[error("what is stored cannot be read: {0}")]
    Corrupt(String),
    /// The cursor was not made by this store.
    #[error("this cursor is not one of ours")]
    BadCursor,
    /// The settings name no database that can be opened.
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
            return match Verdict::of(&**answer) {
                Verdict::Later => Self::Unavailable(text),
                Verdict::Broken => Self::Corrupt(text),
                Verdict::Never => Self::Refused(text),
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

/// What an error the database itself answered with means.
enum Verdict {
    /// It may work later.
    Later,
    /// The database is damaged.
    Broken,
    /// The same statement will be refused again.
    Never,
}

/// SQLSTATE classes of PostgreSQL after which a repeat may work: connection, lack of resources, intervention (time
/// limits and shut-downs among them), system, rollback (deadlocks), locks, a server that has become read-only.
const PASSING: [&str; 6] = ["08", "53", "57", "58", "40", "55"];
const READ_ONLY: &str = "25006";
/// PostgreSQL: damaged data.
const DAMAGED: &str = "XX";

/// SQLite's primary codes after which a repeat may work: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
const SQLITE_PASSING: [u32; 7] = [5, 6, 7, 8, 10, 13, 14];
/// SQLite: CORRUPT, NOTADB.
const SQLITE_DAMAGED: [u32; 2] = [11, 26];

impl Verdict {
    fn of(answer: &dyn sqlx::error::DatabaseError) -> Self {
        let code = answer.code().unwrap_or_default();
        if answer
            .try_downcast_ref::<sqlx::sqlite::SqliteError>()
            .is_some()
        {
            // An extended code bears the primary one in its low byte.
            let primary = code.parse::<u32>().unwrap_or_default() & 0xff;
            return if SQLITE_PASSING.contains(&primary) {
                Self::Later
            } else if SQLITE_DAMAGED.contains(&primary) {
                Self::Broken
            } else {
                Self::Never
            };
        }
        let class = code.get(..2).unwrap_or_default();
        if PASSING.contains(&class) || code == READ_ONLY {
            Self::Later
        } else if class == DAMAGED {
            Self::Broken
        } else {
            Self::Never
        }
    }
}
