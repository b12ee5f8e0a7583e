use sea_orm_migration::prelude::*;

const SLOT_PHASES: [&str; 4] = ["provisioning", "awaiting_live", "live", "interrupted"];

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    let unfinished = || Expr::col("ended_at").is_null();
    let pending = || Expr::col("status").eq("pending");
    vec![
        // Two simultaneous starts create one relay.
        index("relays_one_slot_per_channel", "relays", &["channel_id"])
            .unique()
            .and_where(Expr::col("phase").is_in(SLOT_PHASES))
            .take(),
        // Recovery.
        index("relays_unfinished", "relays", &["id"])
            .and_where(unfinished())
            .take(),
        // Lists, newest first: all, by channel, by phase.
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
        // The journal's retention. Partial: otherwise SQLite uses it for unfinished relays, and then sorts them.
        index("relays_ended", "relays", &["ended_at"])
            .and_where(Expr::col("ended_at").is_not_null())
            .take(),
        // The relays of a node, and those without one.
        index("relays_by_owner", "relays", &["epoch"])
            .and_where(unfinished())
            .take(),
        index("relays_stop_requested", "relays", &["epoch"])
            .and_where(unfinished())
            .and_where(Expr::col("stop_requested_at").is_not_null())
            .take(),
        // The relay that a vendor's notification is about.
        index("relays_by_ingest", "relays", &["ingest_id"])
            .and_where(unfinished())
            .take(),
        index("relays_by_egress", "relays", &["egress_id"])
            .and_where(unfinished())
            .take(),
        index(
            "relays_by_seller",
            "relays",
            &["channel_name", "seller_uid"],
        )
        .and_where(unfinished())
        .take(),
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
            &["platform", "kind", "target"],
        )
        .unique()
        .take(),
        index("cleanup_jobs_due", "cleanup_jobs", &["next_attempt_at"]),
        index("cleanup_jobs_by_relay", "cleanup_jobs", &["relay_id"]),
        index(
            "kept_ingests_one_per_ingest",
            "kept_ingests",
            &["ingest_id", "platform"],
        )
        .unique()
        .take(),
        index("outbox_sequence", "outbox", &["relay_id", "sequence"])
            .unique()
            .take(),
        index("outbox_by_channel", "outbox", &["channel_id", "id"]),
        index("outbox_by_time", "outbox", &["created_at"]),
        // A channel's next delivery; the deliveries that are due.
        index(
            "webhook_deliveries_waiting",
            "webhook_deliveries",
            &["channel_id", "outbox_id"],
        )
        .and_where(pending())
        .take(),
        index(
            "webhook_deliveries_due",
            "webhook_deliveries",
            &["next_attempt_at", "outbox_id"],
        )
        .and_where(pending())
        .take(),
        // Lists, newest first.
        index(
            "webhook_deliveries_by_channel",
            "webhook_deliveries",
            &["channel_id", "outbox_id"],
        ),
        index(
            "webhook_deliveries_by_status",
            "webhook_deliveries",
            &["status", "outbox_id"],
        ),
        index(
            "idempotency_keys_by_time",
            "idempotency_keys",
            &["created_at"],
        ),
        index(
            "peer_messages_by_recipient",
            "peer_messages",
            &["recipient"],
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
