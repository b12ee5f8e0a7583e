//! An alarm bears the node that sees its cause: two nodes see different things, and neither clears what the other raised.
//! Alarms are raised anew within seconds, so the table is made anew.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DbErr};

/// Adds the node to an alarm's key.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000007_alarms_by_node"
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
        let mut key = Index::create()
            .col("code")
            .col("subject")
            .col("node")
            .take();
        let table = alarms().col(text("node")).primary_key(&mut key).take();
        replace(manager, table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut key = Index::create().col("code").col("subject").take();
        replace(manager, alarms().primary_key(&mut key).take()).await
    }
}

async fn replace(manager: &SchemaManager<'_>, table: TableCreateStatement) -> Result<(), DbErr> {
    let old = Table::drop().table("alarms").take();
    manager.drop_table(old).await?;
    manager.create_table(table).await
}

fn alarms() -> TableCreateStatement {
    Table::create()
        .table("alarms")
        .col(text("code"))
        .col(text("subject"))
        .col(text("detail"))
        .col(timestamp_with_time_zone("since"))
        .col(timestamp_with_time_zone("last_seen_at"))
        .take()
}
