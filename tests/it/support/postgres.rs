//! PostgreSQL for tests: each creates and drops its own database.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

/// The variable with the URL of a maintenance database; its user may CREATE DATABASE.
pub const URL: &str = "RELAYKEEPER_TEST_POSTGRES";

#[derive(Debug, Clone)]
pub struct Postgres {
    maintenance: String,
    name: String,
}

impl Postgres {
    pub async fn create() -> Self {
        let maintenance = std::env::var(URL).expect("RELAYKEEPER_TEST_POSTGRES names a server");
        let name = format!("relaykeeper_test_{}", uuid::Uuid::new_v4().simple());
        let made = Self { maintenance, name };
        made.maintain(&format!("CREATE DATABASE {}", made.name))
            .await;
        made
    }

    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&self.maintenance).expect("a URL");
        url.set_path(&self.name);
        url.into()
    }

    pub async fn remove(self) {
        self.maintain(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
    }

    async fn maintain(&self, statement: &str) {
        let connection: DatabaseConnection = Database::connect(&self.maintenance)
            .await
            .expect("a server");
        connection
            .execute_unprepared(statement)
            .await
            .expect("the right to make databases");
        connection.close().await.expect("a good-bye");
    }
}
