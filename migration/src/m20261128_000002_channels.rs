//! Our columns of the `channels` table, and their index.
//!
//! Without a `channels` table, `up` creates one. An existing one is the marketplace's: `up` adds only what it lacks
//! (columns are nullable, without a default, so that no row is rewritten) and lists the additions in
//! `channels_additions`. `down` drops only what is listed.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend, sea_orm::Statement};

/// Adds and drops our columns of `channels`.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000002_channels"
    }
}

const CHANNELS: &str = "channels";
const ADDITIONS: &str = "channels_additions";
const INDEX: &str = "idx_channels_stream_key_id";
const INDEXED: &str = "stream_key_id";

#[derive(Clone, Copy)]
enum ColumnKind {
    Text,
    Integer,
    Time,
    Uuid,
}

/// Our columns of `channels`, in the order in which they are added.
const COLUMNS: [(&str, ColumnKind); 10] = [
    ("channel_name", ColumnKind::Text),
    (INDEXED, ColumnKind::Text),
    ("hls_playback_url", ColumnKind::Text),
    ("stream_recording_url", ColumnKind::Text),
    ("agora_resource_id", ColumnKind::Text),
    ("agora_sid", ColumnKind::Text),
    ("agora_recording_uid", ColumnKind::Integer),
    ("relay_status", ColumnKind::Text),
    ("relay_started_at", ColumnKind::Time),
    ("relay_id", ColumnKind::Uuid),
];

/// SQLite gets only TEXT and INTEGER, which STRICT tables accept too.
fn column(backend: DbBackend, name: &'static str, kind: ColumnKind) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    let sqlite = backend == DbBackend::Sqlite;
    match kind {
        ColumnKind::Integer if sqlite => column.integer(),
        ColumnKind::Integer => column.big_integer(),
        ColumnKind::Time if !sqlite => column.timestamp_with_time_zone(),
        ColumnKind::Uuid if !sqlite => column.uuid(),
        ColumnKind::Text | ColumnKind::Time | ColumnKind::Uuid => column.text(),
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
        if names(manager, Named::Tables).await?.is_empty() {
            create(manager).await
        } else {
            add_missing(manager).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let added = additions(manager).await?;
        if added.iter().any(|(kind, _)| kind == "table") {
            manager
                .drop_table(Table::drop().table(CHANNELS).if_exists().take())
                .await?;
        } else {
            remove_additions(manager, added).await?;
        }
        manager
            .drop_table(Table::drop().table(ADDITIONS).take())
            .await
    }
}

async fn create(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table.table(CHANNELS).col(
        column(backend, "id", ColumnKind::Integer)
            .not_null()
            .primary_key(),
    );
    for (name, kind) in COLUMNS {
        table.col(column(backend, name, kind));
    }
    manager.create_table(table).await?;
    create_index(manager).await?;
    record(manager, "table", CHANNELS).await
}

async fn add_missing(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let existing = names(manager, Named::Columns).await?;
    for (name, kind) in COLUMNS {
        if existing.iter().any(|column| column == name) {
            continue;
        }
        manager
            .alter_table(
                Table::alter()
                    .table(CHANNELS)
                    .add_column(column(backend, name, kind))
                    .take(),
            )
            .await?;
        record(manager, "column", name).await?;
    }
    if !names(manager, Named::Indexes)
        .await?
        .iter()
        .any(|index| index == INDEX)
    {
        create_index(manager).await?;
        record(manager, "index", INDEX).await?;
    }
    Ok(())
}

/// Drops additions that still exist. The index comes first: SQLite does not drop an indexed column.
async fn remove_additions(
    manager: &SchemaManager<'_>,
    added: Vec<(String, String)>,
) -> Result<(), DbErr> {
    if added.iter().any(|(kind, _)| kind == "index") {
        manager
            .drop_index(Index::drop().name(INDEX).if_exists().to_owned())
            .await?;
    }
    let existing = names(manager, Named::Columns).await?;
    for (name, _) in COLUMNS.iter().rev() {
        let ours = added
            .iter()
            .any(|(kind, added)| kind == "column" && added == name);
        if ours && existing.iter().any(|column| column == name) {
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

#[derive(Clone, Copy)]
enum Named {
    Tables,
    Columns,
    Indexes,
}

/// SQLite ignores the case of names, hence `lower`; PostgreSQL finds `channels` by its search path.
async fn names(manager: &SchemaManager<'_>, named: Named) -> Result<Vec<String>, DbErr> {
    let backend = manager.get_database_backend();
    let sqlite = backend == DbBackend::Sqlite;
    let sql = match named {
        Named::Tables if sqlite => {
            "SELECT lower(name) AS name FROM sqlite_schema WHERE lower(name) = 'channels' AND type IN ('table', 'view')"
        }
        Named::Columns if sqlite => {
            "SELECT lower(name) AS name FROM pragma_table_xinfo('channels')"
        }
        Named::Indexes if sqlite => {
            "SELECT lower(name) AS name FROM sqlite_schema WHERE type = 'index' AND lower(tbl_name) = 'channels'"
        }
        Named::Tables => {
            "SELECT relname::text AS name FROM pg_class WHERE oid = to_regclass('channels')"
        }
        Named::Columns => {
            "SELECT attname::text AS name FROM pg_attribute \
             WHERE attrelid = to_regclass('channels') AND attnum > 0 AND NOT attisdropped"
        }
        Named::Indexes => {
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
