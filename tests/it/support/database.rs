//! Runs one test body on SQLite and on PostgreSQL.

use std::sync::Arc;

use relaykeeper::config;
use relaykeeper::store::Store;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};

use super::postgres::Postgres;

#[derive(Debug, Clone)]
pub struct TestDatabase {
    pub url: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Sqlite(Arc<tempfile::TempDir>),
    Postgres(Postgres),
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            url: format!("sqlite://{}?mode=rwc", folder.path().join("t.db").display()),
            kind: Kind::Sqlite(Arc::new(folder)),
        }
    }

    pub async fn postgres() -> Self {
        let made = Postgres::create().await;
        Self {
            url: made.url(),
            kind: Kind::Postgres(made),
        }
    }

    pub async fn remove(self) {
        if let Kind::Postgres(made) = self.kind {
            made.remove().await;
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.kind, Kind::Sqlite(_))
    }

    pub fn settings(&self) -> config::DatabaseSettings {
        config::DatabaseSettings {
            url: self.url.clone().into(),
            ..config::DatabaseSettings::default()
        }
    }

    /// Without migrations.
    pub async fn open(&self) -> Store {
        Store::connect(&self.settings()).await.expect("a store")
    }

    pub async fn store(&self) -> Store {
        let store = self.open().await;
        store.migrate().await.expect("the schema goes up");
        store
    }

    /// Direct access, as another program has it.
    pub async fn raw(&self) -> Raw {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1);
        Raw(Database::connect(options).await.expect("a connection"))
    }
}

#[derive(Debug)]
pub struct Raw(pub DatabaseConnection);

impl Raw {
    pub async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.expect(sql);
    }

    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        self.rows(sql)
            .await
            .iter()
            .map(|row| row.try_get_by_index(0).expect("a text column"))
            .collect()
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.rows(sql).await[0]
            .try_get_by_index(0)
            .expect("a 64-bit column")
    }

    pub async fn rows(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let backend: DbBackend = self.0.get_database_backend();
        self.0
            .query_all_raw(Statement::from_string(backend, sql))
            .await
            .expect(sql)
    }
}

/// Removes the database even if the body panics.
pub async fn on<F>(database: TestDatabase, body: impl FnOnce(TestDatabase) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let outcome = tokio::spawn(body(database.clone())).await;
    database.remove().await;
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// Turns each `async fn name(database: TestDatabase)` into a test on SQLite and one on PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = $crate::support::database::TestDatabase::sqlite();
                    $crate::support::database::on(database, super::$name).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs PostgreSQL: ./scripts/test runs it"]
                async fn $name() {
                    let database = $crate::support::database::TestDatabase::postgres().await;
                    $crate::support::database::on(database, super::$name).await;
                }
            )+
        }
    };
}
