//! The tables that are ours alone.
//!
//! A table of one of these names that stands there already is someone else's: the migration fails and leaves no trace,
//! rather than writing into it.

use sea_orm_migration::{prelude::*, schema::*};

/// Creates and drops our own tables.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261122_000001_own_tables"
    }
}

/// The phases in which a relay holds its channel's slot.
const SLOT_PHASES: [&str; 4] = ["provisioning", "awaiting_live", "live", "interrupted"];

/// Everything `up` creates, in the order in which `down` drops it.
const TABLES: [&str; 9] = [
    "alarms",
    "idempotency_keys",
    "outbox",
    "cleanup_jobs",
    "stream_costs",
    "recordings",
    "relay_events",
    "relays",
    "instance",
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
            instance(),
            relays(),
            relay_events(),
            recordings(),
            stream_costs(),
            cleanup_jobs(),
            outbox(),
            idempotency_keys(),
            alarms(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager
                .drop_table(Table::drop().table(table).take())
                .await?;
        }
        Ok(())
    }
}

fn instance() -> TableCreateStatement {
    Table::create()
        .table("instance")
        .col(integer("id").primary_key())
        .col(char_len("database_id", 8))
        .col(big_integer("epoch"))
        .col(timestamp_with_time_zone("created_at"))
        .take()
}

fn relays() -> TableCreateStatement {
    Table::create()
        .table("relays")
        .col(pk_uuid("id"))
        .col(big_integer("channel_id"))
        .col(text("channel_name"))
        .col(big_integer("seller_uid"))
        .col(text("phase"))
        .col(text("relay_status"))
        .col(text("backend"))
        .col(text_null("region"))
        .col(text_null("ingest_id"))
        .col(text_null("agora_resource_id"))
        .col(text_null("agora_recording_cname"))
        .col(big_integer_null("agora_recording_uid"))
        .col(text_null("agora_sid"))
        .col(text_null("agora_converter_id"))
        .col(text_null("outcome"))
        .col(timestamp_with_time_zone("requested_at"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("live_at"))
        .col(timestamp_with_time_zone_null("stopped_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(text("state"))
        .col(integer("state_version"))
        .col(big_integer("epoch"))
        .col(big_integer("revision"))
        .take()
}

fn relay_events() -> TableCreateStatement {
    Table::create()
        .table("relay_events")
        .col(uuid("relay_id"))
        .col(big_integer("seq"))
        .col(timestamp_with_time_zone("at"))
        .col(text("kind"))
        .col(text("phase"))
        .col(text("data"))
        .col(text("actions"))
        .primary_key(Index::create().col("relay_id").col("seq"))
        .take()
}

fn recordings() -> TableCreateStatement {
    Table::create()
        .table("recordings")
        .col(text("id").primary_key())
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(text("state"))
        .col(double_null("duration_seconds"))
        .col(text_null("hls_url"))
        .col(text_null("dash_url"))
        .col(text_null("thumbnail_url"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("ready_at"))
        .take()
}

fn stream_costs() -> TableCreateStatement {
    Table::create()
        .table("stream_costs")
        .col(big_pk_auto("id"))
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(text_null("stream_key_id"))
        .col(big_integer("duration_seconds"))
        .col(big_integer("cost_cents"))
        .col(big_integer("cost_micros"))
        .col(big_integer("agora_cost_micros"))
        .col(text("source"))
        .col(timestamp_with_time_zone("created_at"))
        .take()
}

fn cleanup_jobs() -> TableCreateStatement {
    Table::create()
        .table("cleanup_jobs")
        .col(pk_uuid("id"))
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(text("kind"))
        .col(text("target"))
        .col(text("data"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("next_attempt_at"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(integer("attempts"))
        .col(text_null("last_error"))
        .take()
}

fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(big_pk_auto("id"))
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(big_integer("sequence"))
        .col(text("type"))
        .col(text("body"))
        .col(timestamp_with_time_zone("created_at"))
        .take()
}

fn idempotency_keys() -> TableCreateStatement {
    Table::create()
        .table("idempotency_keys")
        .col(text("key").primary_key())
        .col(text("request_hash"))
        .col(uuid("relay_id"))
        .col(timestamp_with_time_zone("created_at"))
        .take()
}

fn alarms() -> TableCreateStatement {
    Table::create()
        .table("alarms")
        .col(text("code"))
        .col(text("subject"))
        .col(text("detail"))
        .col(timestamp_with_time_zone("since"))
        .col(timestamp_with_time_zone("last_seen_at"))
        .primary_key(Index::create().col("code").col("subject"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // At most one relay holds a channel's slot: two simultaneous starts give one relay.
        index("relays_one_slot_per_channel", "relays", &["channel_id"])
            .unique()
            .and_where(Expr::col("phase").is_in(SLOT_PHASES))
            .take(),
        // What recovery loads.
        index("relays_unfinished", "relays", &["id"])
            .and_where(Expr::col("ended_at").is_null())
            .take(),
        // Newest first, whole, of a channel, of a phase.
        index("relays_by_time", "relays", &["requested_at", "id"]),
        index(
            "relays_by_channel",
            "relays",
            &["channel_id", "requested_at", "id"],
        ),
        index(
            "relays_by_phase",
            "relays",
            &["phase", "requested_at", "id"],
        ),
        // What the journal's retention looks through.
        index("relays_by_end", "relays", &["ended_at"]),
        index("recordings_by_relay", "recordings", &["relay_id"]),
        index(
            "recordings_by_channel",
            "recordings",
            &["channel_id", "ready_at"],
        ),
        index("stream_costs_one_per_relay", "stream_costs", &["relay_id"])
            .unique()
            .take(),
        index("stream_costs_by_time", "stream_costs", &["created_at"]),
        index(
            "cleanup_jobs_one_per_target",
            "cleanup_jobs",
            &["kind", "target"],
        )
        .unique()
        .take(),
        index("cleanup_jobs_due", "cleanup_jobs", &["next_attempt_at"]),
        index("cleanup_jobs_by_relay", "cleanup_jobs", &["relay_id"]),
        index("outbox_sequence", "outbox", &["relay_id", "sequence"])
            .unique()
            .take(),
        index("outbox_by_channel", "outbox", &["channel_id", "id"]),
        index("outbox_by_time", "outbox", &["created_at"]),
        index(
            "idempotency_keys_by_time",
            "idempotency_keys",
            &["created_at"],
        ),
    ]
}

fn index(
    name: &'static str,
    table: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
