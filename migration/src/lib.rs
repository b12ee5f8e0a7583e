//! relaykeeper's schema, as migrations that go up and down on SQLite and PostgreSQL alike.
//!
//! The database may be shared with the marketplace, so what was applied is recorded in `relaykeeper_migrations` (another
//! SeaORM service may own `seaql_migrations`), and of a `channels` table that was there before us nothing but our own
//! additions is ever touched: see [`m20261122_000002_channels`].

pub mod m20261122_000001_own_tables;
pub mod m20261122_000002_channels;
pub mod m20261126_000003_webhook_deliveries;
pub mod m20261126_000004_fleet;
pub mod m20261128_000005_ended_relays;
pub mod m20261128_000006_ended_sessions;
pub mod m20261128_000007_alarms_by_node;

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

/// All migrations, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_own_tables::Migration),
            Box::new(m20261122_000002_channels::Migration),
            Box::new(m20261126_000003_webhook_deliveries::Migration),
            Box::new(m20261126_000004_fleet::Migration),
            Box::new(m20261128_000005_ended_relays::Migration),
            Box::new(m20261128_000006_ended_sessions::Migration),
            Box::new(m20261128_000007_alarms_by_node::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "relaykeeper_migrations".into_iden()
    }
}
