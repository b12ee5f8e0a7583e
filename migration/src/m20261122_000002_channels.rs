//! The columns the marketplace knows a channel by, and their index.
//!
//! When no `channels` table stands there, one is made. When someone else's does, only what it lacks is added (columns
//! that may be null, without a default: no row is rewritten), and *what* was added is written into `channels_additions`.
//! `down` drops exactly what that table names: the whole of `channels` only when we made it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend, sea_orm::Statement};

/// Adds and drops our part of `channels`.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261122_000002_channels"
    }
}

const CHANNELS: &str = "channels";
const ADDITIONS: &str = "channels_additions";
const INDEX: &str = "idx_channels_stream_key_id";
const INDEXED: &str = "stream_key_id";

/// What a column of ours holds.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Integer,
    Time,
    Uuid,
}

/// Our columns of `channels`, in the order in which they are added.
const COLUMNS: [(&str, Holds); 10] = [
    ("channel_name", Holds::Text),
    (INDEXED, Holds::Text),
    ("hls_playback_url", Holds::Text),
    ("stream_recording_url", Holds::Text),
    ("agora_resource_id", Holds::Text),
    ("agora_sid", Holds::Text),
    ("agora_recording_uid", Holds::Integer),
    ("relay_status", Holds::Text),
    ("relay_started_at", Holds::Time),
    ("relay_id", Holds::Uuid),
];

/// A column as it is declared. On SQLite only TEXT and INTEGER are used, which a STRICT table takes as well.
fn column(backend: DbBackend, name: &'static str, holds: Holds) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    let sqlite = backend == DbBackend::Sqlite;
    match holds {
        Holds::Integer if sqlite => column.integer(),
        Holds::Integer => column.big_integer(),
        Holds::Time if !sqlite => column.timestamp_with_time_zone(),
        Holds::Uuid if !sqlite => column.uuid(),
        Holds::Text | Holds::Time | Holds::Uuid => column.text(),
    };
    column
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
        manager
            .create_table(
                Table::create()
                    .table(ADDITIONS)
                    .col(ColumnDef::new("kind").text().not_null())
                    .col(ColumnDef::new("name").text().not_null())
                    .primary_key(Index::create().col("kind").col("name"))
                    .take(),
            )
            .await?;
        if names(manager, Poll::Tables).await?.is_empty() {
            create(manager).await
        } else {
            complete(manager).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let added = additions(manager).await?;
        if added.iter().any(|(kind, _)| kind == "table") {
            manager
                .drop_table(Table::drop().table(CHANNELS).if_exists().take())
                .await?;
        } else {
            take_away(manager, added).await?;
        }
        manager
            .drop_table(Table::drop().table(ADDITIONS).take())
            .await
    }
}

/// Makes a `channels` table of our own.
async fn create(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table.table(CHANNELS).col(
        column(backend, "id", Holds::Integer)
            .not_null()
            .primary_key(),
    );
    for (name, holds) in COLUMNS {
        table.col(column(backend, name, holds));
    }
    manager.create_table(table).await?;
    create_index(manager).await?;
    record(manager, "table", CHANNELS).await
}

/// Adds to someone else's `channels` what it lacks, and writes down what that was.
async fn complete(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let there = names(manager, Poll::Columns).await?;
    for (name, holds) in COLUMNS {
        if there.iter().any(|column| column == name) {
            continue;
        }
        manager
            .alter_table(
                Table::alter()
                    .table(CHANNELS)
                    .add_column(column(backend, name, holds))
                    .take(),
            )
            .await?;
        record(manager, "column", name).await?;
    }
    if !names(manager, Poll::Indexes)
        .await?
        .iter()
        .any(|index| index == INDEX)
    {
        create_index(manager).await?;
        record(manager, "index", INDEX).await?;
    }
    Ok(())
}

/// Drops what `up` added and is still there: the index first, for SQLite drops no indexed column.
async fn take_away(manager: &SchemaManager<'_>, added: Vec<(String, String)>) -> Result<(), DbErr> {
    if added.iter().any(|(kind, _)| kind == "index") {
        manager
            .drop_index(Index::drop().name(INDEX).if_exists().to_owned())
            .await?;
    }
    let there = names(manager, Poll::Columns).await?;
    for (name, _) in COLUMNS.iter().rev() {
        let ours = added
            .iter()
            .any(|(kind, added)| kind == "column" && added == name);
        if ours && there.iter().any(|column| column == name) {
            manager
                .alter_table(Table::alter().table(CHANNELS).drop_column(*name).take())
                .await?;
        }
    }
    Ok(())
}

async fn create_index(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_index(
            Index::create()
                .name(INDEX)
                .table(CHANNELS)
                .col(INDEXED)
                .take(),
        )
        .await
}

async fn record(manager: &SchemaManager<'_>, kind: &str, name: &str) -> Result<(), DbErr> {
    manager
        .execute(
            Query::insert()
                .into_table(ADDITIONS)
                .columns(["kind", "name"])
                .values_panic([kind.into(), name.into()])
                .take(),
        )
        .await
}

async fn additions(manager: &SchemaManager<'_>) -> Result<Vec<(String, String)>, DbErr> {
    manager
        .get_connection()
        .query_all(
            &Query::select()
                .columns(["kind", "name"])
                .from(ADDITIONS)
                .take(),
        )
        .await?
        .iter()
        .map(|row| Ok((row.try_get("", "kind")?, row.try_get("", "name")?)))
        .collect()
}

/// What can be asked of the schema about `channels`.
#[derive(Clone, Copy)]
enum Poll {
    Tables,
    Columns,
    Indexes,
}

/// The names found, as the database compares them: SQLite knows no case in names, PostgreSQL looks `channels` up in its
/// search path.
async fn names(manager: &SchemaManager<'_>, poll: Poll) -> Result<Vec<String>, DbErr> {
    let backend = manager.get_database_backend();
    let sqlite = backend == DbBackend::Sqlite;
    let sql = match poll {
        Poll::Tables if sqlite => {
            "SELECT lower(name) AS name FROM sqlite_schema WHERE lower(name) = 'channels' AND type IN ('table', 'view')"
        }
        Poll::Columns if sqlite => "SELECT lower(name) AS name FROM pragma_table_xinfo('channels')",
        Poll::Indexes if sqlite => {
            "SELECT lower(name) AS name FROM sqlite_schema WHERE type = 'index' AND lower(tbl_name) = 'channels'"
        }
        Poll::Tables => {
            "SELECT relname::text AS name FROM pg_class WHERE oid = to_regclass('channels')"
        }
        Poll::Columns => {
            "SELECT attname::text AS name FROM pg_attribute \
             WHERE attrelid = to_regclass('channels') AND attnum > 0 AND NOT attisdropped"
        }
        Poll::Indexes => {
            "SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass('channels')"
        }
    };
    manager
        .get_connection()
        .query_all_raw(Statement::from_string(backend, sql))
        .await?
        .iter()
        .map(|row| row.try_get("", "name"))
        .collect()
}
