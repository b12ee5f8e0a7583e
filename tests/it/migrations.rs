//! The schema goes up and down on both databases, and leaves other programs' tables as they are.

use crate::on_both_databases;
use crate::support::database::{Raw, TestDatabase};

on_both_databases!(
    the_schema_goes_up_down_and_up_again,
    migrating_twice_changes_nothing,
    a_channels_table_that_the_migration_created_is_dropped_again,
    a_foreign_channels_table_gets_missing_columns_and_loses_them_again,
    a_foreign_column_and_index_of_our_names_stay_when_the_schema_goes_down,
    a_migration_that_meets_a_taken_table_name_changes_nothing,
    another_services_migrations_are_not_mistaken_for_ours,
    two_processes_that_migrate_at_once_both_succeed,
);

/// Our columns of `channels`, sorted.
const OURS: [&str; 10] = [
    "agora_recording_uid",
    "agora_resource_id",
    "agora_sid",
    "channel_name",
    "hls_playback_url",
    "relay_id",
    "relay_started_at",
    "relay_status",
    "stream_key_id",
    "stream_recording_url",
];

/// A marketplace's own tables; two columns have names of ours.
const THEIRS: &str = "
    CREATE TABLE sellers (id integer PRIMARY KEY, name varchar(20) NOT NULL);
    CREATE TABLE channels (
        id   integer PRIMARY KEY,
        seller_id integer NOT NULL REFERENCES sellers (id),
        title varchar(40) NOT NULL DEFAULT 'untitled', -- shown to buyers
        channel_name varchar(64) NOT NULL,
        agora_sid text,
        price numeric(10, 2) NOT NULL CHECK (price >= 0),
        UNIQUE (seller_id, title)
    );
    CREATE INDEX channels_by_seller ON channels (seller_id);
    INSERT INTO sellers VALUES (1, 'Ada'), (2, 'Grace');
    INSERT INTO channels (id, seller_id, title, channel_name, agora_sid, price) VALUES
        (7, 1, 'Hats', 'hats', 'theirs', 9.90),
        (8, 2, 'Shoes', 'shoes', NULL, 120.00);
";

/// Definitions and rows of the marketplace's tables.
async fn snapshot(raw: &Raw, database: &TestDatabase) -> Vec<Option<String>> {
    let questions: &[&str] = if database.is_sqlite() {
        &[
            "SELECT type || name || coalesce(sql, '-') FROM sqlite_schema \
             WHERE tbl_name IN ('channels', 'sellers') ORDER BY 1",
            "SELECT id || quote(seller_id) || quote(title) || quote(channel_name) || quote(agora_sid) || quote(price) \
             FROM channels ORDER BY id",
            "SELECT id || quote(name) FROM sellers ORDER BY id",
        ]
    } else {
        &[
            "SELECT to_jsonb(c)::text FROM information_schema.columns c \
             WHERE table_name IN ('channels', 'sellers') ORDER BY table_name, ordinal_position",
            "SELECT indexdef FROM pg_indexes WHERE tablename IN ('channels', 'sellers') ORDER BY 1",
            "SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE conrelid IN ('channels'::regclass, 'sellers'::regclass) ORDER BY 1",
            // ctid and xmin change with every write to a row.
            "SELECT concat_ws('|', ctid, xmin, to_jsonb(t)) FROM channels t ORDER BY id",
            "SELECT concat_ws('|', ctid, xmin, to_jsonb(t)) FROM sellers t ORDER BY id",
        ]
    };
    let mut seen = Vec::new();
    for question in questions {
        seen.extend(raw.texts(question).await);
    }
    seen
}

async fn tables(raw: &Raw, database: &TestDatabase) -> Vec<String> {
    let question = if database.is_sqlite() {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
    } else {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    };
    raw.texts(question).await.into_iter().flatten().collect()
}

async fn schema(raw: &Raw, database: &TestDatabase) -> Vec<Option<String>> {
    let queries: &[&str] = if database.is_sqlite() {
        &["SELECT name || coalesce(sql, '-') FROM sqlite_schema ORDER BY 1"]
    } else {
        &[
            "SELECT to_jsonb(c)::text FROM information_schema.columns c \
             WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        ]
    };
    let mut found = Vec::new();
    for query in queries {
        found.extend(raw.texts(query).await);
    }
    found
}

async fn columns(raw: &Raw, database: &TestDatabase, table: &str) -> Vec<String> {
    let question = if database.is_sqlite() {
        format!("SELECT name FROM pragma_table_info('{table}') ORDER BY 1")
    } else {
        format!(
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}' ORDER BY 1"
        )
    };
    raw.texts(&question).await.into_iter().flatten().collect()
}

async fn has_index(raw: &Raw, database: &TestDatabase) -> bool {
    let question = if database.is_sqlite() {
        "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = 'idx_channels_stream_key_id'"
    } else {
        "SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_channels_stream_key_id'"
    };
    raw.number(question).await == 1
}

async fn the_schema_goes_up_down_and_up_again(database: TestDatabase) {
    let store = database.open().await;
    let raw = database.raw().await;
    let mut first = None;
    for _ in 0..2 {
        assert!(
            store
                .migration_status()
                .await
                .unwrap()
                .iter()
                .all(|one| !one.applied)
        );
        store.migrate().await.unwrap();
        assert!(
            store
                .migration_status()
                .await
                .unwrap()
                .iter()
                .all(|one| one.applied)
        );
        assert_eq!(
            tables(&raw, &database).await,
            [
                "alarms",
                "channels",
                "channels_additions",
                "cleanup_jobs",
                "ended_sessions",
                "idempotency_keys",
                "instance",
                "kept_ingests",
                "nodes",
                "outbox",
                "outbox_head",
                "peer_messages",
                "quota_shares",
                "quotas",
                "recordings",
                "relay_events",
                "relaykeeper_migrations",
                "relays",
                "shared_polls",
                "stream_costs",
                "webhook_deliveries",
            ]
        );
        let found = schema(&raw, &database).await;
        assert_eq!(first.get_or_insert(found.clone()), &found);
        store.migrate_down(None).await.unwrap();
        assert_eq!(tables(&raw, &database).await, ["relaykeeper_migrations"]);
    }
}

async fn migrating_twice_changes_nothing(database: TestDatabase) {
    let store = database.store().await;
    let drawn = store.instance().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.instance().await.unwrap(), drawn);
}

async fn a_channels_table_that_the_migration_created_is_dropped_again(database: TestDatabase) {
    let store = database.store().await;
    let raw = database.raw().await;
    let mut expected = OURS.to_vec();
    expected.push("id");
    expected.sort_unstable();
    assert_eq!(columns(&raw, &database, "channels").await, expected);
    assert!(has_index(&raw, &database).await);
    raw.execute("INSERT INTO channels (id) VALUES (42)").await;
    // The last migration created it.
    store.migrate_down(Some(1)).await.unwrap();
    let left = tables(&raw, &database).await;
    assert!(!left.contains(&"channels".to_owned()), "{left:?}");
    assert!(left.contains(&"relays".to_owned()), "{left:?}");
}

async fn a_foreign_channels_table_gets_missing_columns_and_loses_them_again(
    database: TestDatabase,
) {
    let raw = database.raw().await;
    raw.execute(THEIRS).await;
    let before = snapshot(&raw, &database).await;
    let store = database.open().await;
    for _ in 0..2 {
        store.migrate().await.unwrap();
        let there = columns(&raw, &database, "channels").await;
        for column in OURS {
            assert!(there.contains(&column.to_owned()), "{column}");
        }
        assert!(has_index(&raw, &database).await);
        // Two of our ten columns were there before; the index was not.
        let recorded = raw.number("SELECT count(*) FROM channels_additions").await;
        assert_eq!(recorded, 8 + 1);
        assert_eq!(
            raw.number(
                "SELECT count(*) FROM channels WHERE relay_id IS NULL AND stream_key_id IS NULL"
            )
            .await,
            2
        );
        // A program that does not know our columns still writes its rows.
        raw.execute("INSERT INTO channels (id, seller_id, title, channel_name, price) VALUES (9, 1, 'x', 'x', 1)")
            .await;
        raw.execute("DELETE FROM channels WHERE id = 9").await;
        store.migrate_down(None).await.unwrap();
        assert_eq!(snapshot(&raw, &database).await, before);
    }
}

async fn a_foreign_column_and_index_of_our_names_stay_when_the_schema_goes_down(
    database: TestDatabase,
) {
    let raw = database.raw().await;
    raw.execute(
        "CREATE TABLE channels (id integer PRIMARY KEY, stream_key_id text NOT NULL);
         CREATE INDEX idx_channels_stream_key_id ON channels (stream_key_id);
         INSERT INTO channels VALUES (1, 'theirs')",
    )
    .await;
    let store = database.store().await;
    assert_eq!(
        raw.number("SELECT count(*) FROM channels_additions WHERE kind = 'index'")
            .await,
        0
    );
    store.migrate_down(None).await.unwrap();
    assert_eq!(
        columns(&raw, &database, "channels").await,
        ["id", "stream_key_id"]
    );
    assert!(has_index(&raw, &database).await);
    assert_eq!(
        raw.texts("SELECT stream_key_id FROM channels").await,
        [Some("theirs".to_owned())]
    );
}

async fn a_migration_that_meets_a_taken_table_name_changes_nothing(database: TestDatabase) {
    let raw = database.raw().await;
    raw.execute("CREATE TABLE outbox (theirs integer)").await;
    let store = database.open().await;
    let refused = store.migrate().await.unwrap_err();
    assert!(refused.to_string().contains("outbox"), "{refused}");
    assert_eq!(tables(&raw, &database).await, ["outbox"]);
}

async fn another_services_migrations_are_not_mistaken_for_ours(database: TestDatabase) {
    let raw = database.raw().await;
    raw.execute(
        "CREATE TABLE seaql_migrations (version varchar(255) PRIMARY KEY, applied_at bigint NOT NULL);
         INSERT INTO seaql_migrations VALUES ('m20200101_000001_of_the_marketplace', 1)",
    )
    .await;
    let store = database.store().await;
    store.migrate_down(None).await.unwrap();
    assert_eq!(
        raw.texts("SELECT version FROM seaql_migrations").await,
        [Some("m20200101_000001_of_the_marketplace".to_owned())]
    );
}

async fn two_processes_that_migrate_at_once_both_succeed(database: TestDatabase) {
    let (one, other) = (database.open().await, database.open().await);
    let (one, other) = tokio::join!(one.migrate(), other.migrate());
    assert_eq!((one, other), (Ok(()), Ok(())));
}

/// STRICT tables of SQLite accept five types only.
#[tokio::test]
async fn a_strict_table_of_sqlite_gets_columns_of_accepted_types() {
    let database = TestDatabase::sqlite();
    let raw = database.raw().await;
    raw.execute("CREATE TABLE Channels (id INTEGER PRIMARY KEY, Title TEXT NOT NULL) STRICT")
        .await;
    let before = raw.texts("SELECT sql FROM sqlite_schema").await;
    let store = database.store().await;
    assert_eq!(columns(&raw, &database, "channels").await.len(), 12);
    store.migrate_down(None).await.unwrap();
    let after = raw
        .texts("SELECT sql FROM sqlite_schema WHERE name = 'Channels'")
        .await;
    assert_eq!(after, before);
}
