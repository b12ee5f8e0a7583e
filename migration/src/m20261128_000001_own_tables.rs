//! relaykeeper's own tables. If a table of one of these names exists, the migration fails and changes nothing.

mod indexes;

use sea_orm_migration::{prelude::*, schema::*};

use indexes::indexes;

/// Creates and drops the tables.
#[derive(Debug, Clone, Copy)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000001_own_tables"
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
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let first_head = Query::insert()
            .into_table("outbox_head")
            .columns(["id", "last_id", "delivers"])
            .values_panic([1.into(), 0.into(), false.into()])
            .take();
        manager.execute(first_head).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            if let Some(name) = table.get_table_name() {
                let drop = Table::drop().table(name.clone()).take();
                manager.drop_table(drop).await?;
            }
        }
        Ok(())
    }
}

fn tables() -> [TableCreateStatement; 18] {
    [
        instance(),
        relays(),
        relay_events(),
        recordings(),
        stream_costs(),
        cleanup_jobs(),
        kept_ingests(),
        outbox(),
        outbox_head(),
        webhook_deliveries(),
        idempotency_keys(),
        ended_sessions(),
        alarms(),
        nodes(),
        peer_messages(),
        quotas(),
        quota_shares(),
        shared_polls(),
    ]
}

/// One row. `epoch`: the last fencing token drawn; `leader`: the leader's.
fn instance() -> TableCreateStatement {
    Table::create()
        .table("instance")
        .col(integer("id").primary_key())
        .col(char_len("database_id", 8))
        .col(big_integer("epoch"))
        .col(timestamp_with_time_zone("created_at"))
        .col(big_integer("leader").default(0))
        .take()
}

/// `epoch`: the owner's fencing token. `state`: JSON of format `state_version`.
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
        .col(text("platform"))
        .col(text_null("ingest_id"))
        .col(text_null("egress_id"))
        .col(text_null("egress"))
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
        .col(timestamp_with_time_zone_null("stop_requested_at"))
        .take()
}

/// The journal. `seq` counts from 1 within each relay; `epoch` is the node that wrote the entry.
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
        .col(big_integer_null("epoch"))
        .primary_key(Index::create().col("relay_id").col("seq"))
        .take()
}

fn recordings() -> TableCreateStatement {
    Table::create()
        .table("recordings")
        .col(text("platform"))
        .col(text("id"))
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(text("state"))
        .col(double_null("duration_seconds"))
        .col(text_null("hls_url"))
        .col(text_null("dash_url"))
        .col(text_null("thumbnail_url"))
        .col(text_null("location"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("ready_at"))
        .primary_key(Index::create().col("platform").col("id"))
        .take()
}

fn stream_costs() -> TableCreateStatement {
    Table::create()
        .table("stream_costs")
        .col(big_pk_auto("id"))
        .col(uuid("relay_id"))
        .col(big_integer("channel_id"))
        .col(text("platform"))
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
        .col(text("platform"))
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

/// `holder`: a relay's id, `cleanup`, or null. `options`, `last_sessions`: JSON.
fn kept_ingests() -> TableCreateStatement {
    Table::create()
        .table("kept_ingests")
        .col(big_integer("channel_id"))
        .col(text("platform"))
        .col(text("ingest_id"))
        .col(text("tag"))
        .col(text("hls_url"))
        .col(text_null("dash_url"))
        .col(text("options"))
        .col(text_null("holder"))
        .col(timestamp_with_time_zone_null("held_since"))
        .col(boolean("key_stale"))
        .col(integer("key_version"))
        .col(boolean("reopen"))
        .col(timestamp_with_time_zone_null("quiet_since"))
        .col(text("last_sessions"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("channel_id").col("platform"))
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

/// One row, locked by its writer until the commit, so that `outbox.id` grows in the order of commits.
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

fn idempotency_keys() -> TableCreateStatement {
    Table::create()
        .table("idempotency_keys")
        .col(text("key").primary_key())
        .col(text("request_hash"))
        .col(uuid("relay_id"))
        .col(timestamp_with_time_zone("created_at"))
        .take()
}

/// Console sessions that were signed out.
fn ended_sessions() -> TableCreateStatement {
    Table::create()
        .table("ended_sessions")
        .col(text("session").primary_key())
        .col(timestamp_with_time_zone("expires_at"))
        .take()
}

/// `node`: the node that sees the cause; no other node clears the alarm.
fn alarms() -> TableCreateStatement {
    Table::create()
        .table("alarms")
        .col(text("code"))
        .col(text("subject"))
        .col(text("detail"))
        .col(timestamp_with_time_zone("since"))
        .col(timestamp_with_time_zone("last_seen_at"))
        .col(text("node"))
        .primary_key(Index::create().col("code").col("subject").col("node"))
        .take()
}

/// A row is valid until `lease_until`, by the database's clock.
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

/// Messages between nodes, deleted by the recipient as it reads them.
fn peer_messages() -> TableCreateStatement {
    Table::create()
        .table("peer_messages")
        .col(big_integer("id").auto_increment().primary_key())
        .col(big_integer("recipient"))
        .col(text("body"))
        .take()
}

fn quotas() -> TableCreateStatement {
    Table::create()
        .table("quotas")
        .col(text("name").primary_key())
        .col(timestamp_with_time_zone_null("paused_until"))
        .take()
}

/// The share of a gone node expires when the node's calls have left the quota's window.
fn quota_shares() -> TableCreateStatement {
    Table::create()
        .table("quota_shares")
        .col(text("name"))
        .col(big_integer("epoch"))
        .col(integer("permits"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .primary_key(Index::create().col("name").col("epoch"))
        .take()
}

/// Polls that one node makes for all.
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
