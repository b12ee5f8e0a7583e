//! The outbox's own numbers, and what became of each message on its way to the marketplace.
//!
//! Until here `outbox.id` came from the database. PostgreSQL gives such numbers out before the commit, and two processes may
//! commit in the other order: who reads by "greater than the last I saw" would miss a message for good. From here on the
//! number is counted in a row, `outbox_head`, which its writer holds until it commits.

use sea_orm_migration::{
    prelude::*,
    schema::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

/// Counts the outbox's numbers, and makes the table of deliveries.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261126_000003_webhook_deliveries"
    }
}

/// The head begins where the database's own count stands: also when everything it counted was purged.
const BEGIN_SQLITE: &str = "INSERT INTO outbox_head (id, last_id, delivers) VALUES (1, max(\
    coalesce((SELECT max(id) FROM outbox), 0), \
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)), false)";
const BEGIN_POSTGRES: &str = "INSERT INTO outbox_head (id, last_id, delivers) VALUES (1, greatest(\
    coalesce((SELECT max(id) FROM outbox), 0), \
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0)), false)";
/// Gives the count back to PostgreSQL; SQLite's has followed.
const RETURN_POSTGRES: &str = "SELECT setval(pg_get_serial_sequence('outbox', 'id'), greatest(last_id, 1), last_id > 0) FROM outbox_head";

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
        manager.create_table(outbox_head()).await?;
        manager.create_table(webhook_deliveries()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let begin = if manager.get_database_backend() == DbBackend::Postgres {
            BEGIN_POSTGRES
        } else {
            BEGIN_SQLITE
        };
        manager
            .get_connection()
            .execute_unprepared(begin)
            .await
            .map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            manager
                .get_connection()
                .execute_unprepared(RETURN_POSTGRES)
                .await?;
        }
        for table in ["webhook_deliveries", "outbox_head"] {
            manager
                .drop_table(Table::drop().table(table).take())
                .await?;
        }
        Ok(())
    }
}

fn outbox_head() -> TableCreateStatement {
    Table::create()
        .table("outbox_head")
        .col(integer("id").primary_key())
        .col(big_integer("last_id"))
        .col(boolean("delivers"))
        .col(timestamp_with_time_zone_null("disabled_since"))
        .take()
}

fn webhook_deliveries() -> TableCreateStatement {
    Table::create()
        .table("webhook_deliveries")
        .col(big_integer("outbox_id").primary_key())
        .col(big_integer("channel_id"))
        .col(text("status"))
        .col(integer("attempts"))
        .col(timestamp_with_time_zone("next_attempt_at"))
        .col(timestamp_with_time_zone("give_up_at"))
        .col(timestamp_with_time_zone_null("last_attempt_at"))
        .col(timestamp_with_time_zone_null("delivered_at"))
        .col(integer_null("response_status"))
        .col(text_null("last_error"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let pending = || Expr::col("status").eq("pending");
    vec![
        // What comes next in a channel, and whether anything is due.
        index("webhook_deliveries_waiting", &["channel_id", "outbox_id"])
            .and_where(pending())
            .take(),
        index("webhook_deliveries_due", &["next_attempt_at", "outbox_id"])
            .and_where(pending())
            .take(),
        // Newest first, of a channel, of a status.
        index(
            "webhook_deliveries_by_channel",
            &["channel_id", "outbox_id"],
        ),
        index("webhook_deliveries_by_status", &["status", "outbox_id"]),
    ]
}

fn index(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table("webhook_deliveries");
    for column in columns {
        index.col(*column);
    }
    index
}
