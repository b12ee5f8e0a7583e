//! The index of relays by their end holds only those that have ended. As it was, SQLite took it to find the others, and sorted
//! all of them for each thousand that recovery reads. While PostgreSQL makes it, relays are read but not written.

use sea_orm_migration::{prelude::*, sea_orm::DbErr};

/// Replaces the index.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

const BY_END: &str = "relays_by_end";
const ENDED: &str = "relays_ended";

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000005_ended_relays"
    }
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait needs the trait's own spelling"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ended = Expr::col("ended_at").is_not_null();
        manager
            .create_index(index(ENDED).and_where(ended).take())
            .await?;
        manager.drop_index(drop(BY_END)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(index(BY_END)).await?;
        manager.drop_index(drop(ENDED)).await
    }
}

fn index(name: &'static str) -> IndexCreateStatement {
    Index::create()
        .name(name)
        .table("relays")
        .col("ended_at")
        .take()
}

/// Last: on PostgreSQL nobody reads the table between this and the end of the migration.
fn drop(name: &'static str) -> IndexDropStatement {
    Index::drop().name(name).table("relays").to_owned()
}
