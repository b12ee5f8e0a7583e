//! Several processes on one database: who they are, what each drives, and what they tell each other.
//!
//! A process is a row of `nodes` while its lease is renewed, and its epoch is its name in every other table: a relay belongs to
//! the node whose epoch it bears, and to nobody when there is no such node. `instance.leader` is owned in the same way.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DbErr};

/// Makes the tables of a fleet.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261126_000004_fleet"
    }
}

/// Tables this migration makes, the last first.
const TABLES: [&str; 5] = [
    "shared_polls",
    "budget_shares",
    "budgets",
    "peer_messages",
    "nodes",
];
/// Indexes it makes on tables that were there.
const INDEXES: [&str; 3] = [
    "relays_by_owner",
    "relays_stop_requested",
    "relays_by_ingest",
];

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
        for table in [
            nodes(),
            peer_messages(),
            budgets(),
            budget_shares(),
            shared_polls(),
        ] {
            manager.create_table(table).await?;
        }
        add(
            manager,
            "relays",
            timestamp_with_time_zone_null("stop_requested_at"),
        )
        .await?;
        add(manager, "relay_events", big_integer_null("epoch")).await?;
        add(manager, "instance", big_integer("leader").default(0).take()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in INDEXES {
            manager
                .drop_index(Index::drop().name(name).table("relays").to_owned())
                .await?;
        }
        remove(manager, "instance", "leader").await?;
        remove(manager, "relay_events", "epoch").await?;
        remove(manager, "relays", "stop_requested_at").await?;
        for table in TABLES {
            manager
                .drop_table(Table::drop().table(table).take())
                .await?;
        }
        Ok(())
    }
}

async fn add(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: impl IntoColumnDef,
) -> Result<(), DbErr> {
    manager
        .alter_table(Table::alter().table(table).add_column(column).take())
        .await
}

async fn remove(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<(), DbErr> {
    manager
        .alter_table(Table::alter().table(table).drop_column(column).take())
        .await
}

/// Processes that act, each until its lease is over by the database's own clock.
fn nodes() -> TableCreateStatement {
    Table::create()
        .table("nodes")
        .col(big_integer("epoch").primary_key())
        .col(text("name"))
        .col(timestamp_with_time_zone("joined_at"))
        .col(timestamp_with_time_zone("lease_until"))
        .col(boolean("leaving").default(false))
        .take()
}

/// What one node has to tell another: read once, and gone.
fn peer_messages() -> TableCreateStatement {
    Table::create()
        .table("peer_messages")
        .col(big_integer("id").auto_increment().primary_key())
        .col(big_integer("recipient"))
        .col(text("body"))
        .take()
}

/// A vendor's quota: until when nobody may use it.
fn budgets() -> TableCreateStatement {
    Table::create()
        .table("budgets")
        .col(text("name").primary_key())
        .col(timestamp_with_time_zone_null("paused_until"))
        .take()
}

/// How much of a quota each node may use; a node that is gone keeps its share until its calls have left the window.
fn budget_shares() -> TableCreateStatement {
    Table::create()
        .table("budget_shares")
        .col(text("name"))
        .col(big_integer("epoch"))
        .col(integer("permits"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .primary_key(Index::create().col("name").col("epoch"))
        .take()
}

/// What one node looked up for all: who looks, since when, and what was found last.
fn shared_polls() -> TableCreateStatement {
    Table::create()
        .table("shared_polls")
        .col(text("name").primary_key())
        .col(big_integer("taken_by"))
        .col(timestamp_with_time_zone("taken_at"))
        .col(timestamp_with_time_zone_null("polled_at"))
        .col(timestamp_with_time_zone_null("since"))
        .col(text("found"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let [by_owner, stop_requested, by_ingest] = INDEXES;
    let unfinished = || Expr::col("ended_at").is_null();
    vec![
        // What a node drives, and what nobody does.
        index(by_owner, "relays", "epoch")
            .and_where(unfinished())
            .take(),
        index(stop_requested, "relays", "epoch")
            .and_where(unfinished())
            .and_where(Expr::col("stop_requested_at").is_not_null())
            .take(),
        // Whose ingest a notification speaks of.
        index(by_ingest, "relays", "ingest_id")
            .and_where(unfinished())
            .take(),
        index("peer_messages_by_recipient", "peer_messages", "recipient"),
    ]
}

fn index(name: &'static str, table: &'static str, column: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table(table).col(column).take()
}
