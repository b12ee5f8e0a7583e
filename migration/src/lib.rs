//! relaykeeper's schema, as migrations that go up and down on SQLite and PostgreSQL.
//!
//! The database may be shared with the marketplace: applied migrations are recorded in `relaykeeper_migrations`, because
//! another SeaORM service may own `seaql_migrations`.

pub mod m20261128_000001_own_tables;
pub mod m20261128_000002_channels;

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

/// All migrations, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261128_000001_own_tables::Migration),
            Box::new(m20261128_000002_channels::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "relaykeeper_migrations".into_iden()
    }
}
