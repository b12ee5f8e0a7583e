//! The index of relays by their end holds only those that have ended. As it was, SQLite took it to find the others, and sorted
//! all of them for each thousand that recovery reads.

use sea_orm_migration::{prelude::*, sea_orm::DbErr};

/// Makes the index anew.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

const INDEX: &str = "relays_by_end";

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
        replace(manager, index().and_where(ended).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, index()).await
    }
}

async fn replace(manager: &SchemaManager<'_>, index: IndexCreateStatement) -> Result<(), DbErr> {
    manager
        .drop_index(Index::drop().name(INDEX).table("relays").to_owned())
        .await?;
    manager.create_index(index).await
}

fn index() -> IndexCreateStatement {
    Index::create()
        .name(INDEX)
        .table("relays")
        .col("ended_at")
        .take()
}
