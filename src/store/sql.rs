//! Wraps connections, so that both databases store the same values.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    Value,
};

/// A connection or transaction that truncates times to microseconds, as PostgreSQL does, and writes UUIDs as text on
/// SQLite (see [`Id`](super::Id)).
#[derive(Debug)]
pub(super) struct Sql<'a, C>(pub(super) &'a C);

impl<C: ConnectionTrait> Sql<'_, C> {
    fn adapt(&self, mut statement: Statement) -> Statement {
        let sqlite = self.get_database_backend() == DbBackend::Sqlite;
        for value in statement.values.iter_mut().flat_map(|values| &mut values.0) {
            if let Value::ChronoDateTimeUtc(Some(time)) = value {
                *time = to_the_microsecond(*time);
            } else if sqlite && let Value::Uuid(id) = value {
                *value = Value::String(id.map(|id| id.to_string()));
            }
        }
        statement
    }
}

pub(super) fn to_the_microsecond(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Sql<'_, C> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(self.adapt(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(self.adapt(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(self.adapt(statement)).await
    }
}

/// [`Sql`] with a connection of its own.
#[derive(Debug)]
pub(super) struct OwnSql(pub(super) DatabaseConnection);

#[async_trait]
impl ConnectionTrait for OwnSql {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        Sql(&self.0).execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Sql(&self.0).query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Sql(&self.0).query_all_raw(statement).await
    }
}
