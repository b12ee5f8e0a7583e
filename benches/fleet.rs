//! Measures nodes that share one PostgreSQL (`docs/performance.md`, "Several nodes").
//!
//! ```sh
//! RELAYKEEPER_TEST_POSTGRES=postgres://postgres@127.0.0.1/postgres cargo bench --bench fleet
//! ```
//!
//! `RELAYKEEPER_FLEET_RELAYS` sets the number of relays (1000).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark"
)]

#[path = "../tests/it/fleet/nodes.rs"]
mod nodes;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use nodes::{Nodes, on_postgres};
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors};
use support::usage::{cpu_seconds, resident_kib};

const QUIET: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() {
    if std::env::var_os(support::postgres::URL).is_none() {
        // `cargo test --benches`.
        println!(
            "{} names no server: nothing is measured",
            support::postgres::URL
        );
        return;
    }
    let relays = std::env::var("RELAYKEEPER_FLEET_RELAYS");
    let relays = relays.map_or(1000, |relays| relays.parse().expect("a number"));
    println!(
        "| nodes | relays | live after | commits/s | rows read/s | a node: CPU | memory | failover |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for count in [1, 2, 4] {
        on_postgres(async |database| {
            let vendors = SimulatedVendors::start(options()).expect("vendors");
            let mut fleet = Nodes::start(vendors, database, count, settings()).await;
            let began = Instant::now();
            fleet.go_live(1..relays + 1).await;
            let live = began.elapsed().as_secs_f64();
            fleet.until_spread(count).await;
            let (commits, rows, cpu) = quiet(&fleet).await;
            let memory = resident_kib(fleet.all[0].id()) / 1024;
            let failover = failover(&mut fleet).await;
            println!(
                "| {count} | {relays} | {live:.0} s | {commits:.0} | {rows:.0} | {:.0} % | {memory} MiB | {:.1} s |",
                cpu * 100.0,
                failover.as_secs_f64()
            );
        })
        .await;
    }
}

fn options() -> Options {
    Options {
        speed: 1.0,
        wire_speed: None,
        quotas: Quotas {
            cloudflare_requests: 100_000,
            media_push_per_second: 1000,
            hosts_per_second: 1000,
            max_converters: 100_000,
            ..Quotas::default()
        },
        ..support::service::options()
    }
}

fn settings() -> Vec<(&'static str, String)> {
    let settings = [
        ("RELAYKEEPER__FLEET__LEASE", "45s"),
        ("RELAYKEEPER__FLEET__RENEWAL", "10s"),
        ("RELAYKEEPER__RELAY__POLL_INTERVAL", "5s"),
        ("RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL", "30s"),
        ("RELAYKEEPER__RELAY__LIVE_TIMEOUT", "120s"),
        ("RELAYKEEPER__RELAY__PROVISIONING_TIMEOUT", "60s"),
        ("RELAYKEEPER__CLOUDFLARE__REQUESTS_PER_5_MINUTES", "100000"),
        (
            "RELAYKEEPER__CLOUDFLARE__CUSTOMER_REQUESTS_PER_SECOND",
            "1000",
        ),
        ("RELAYKEEPER__AGORA__CHANNEL_REQUESTS_PER_SECOND", "1000"),
        (
            "RELAYKEEPER__AGORA__MEDIA_PUSH__REQUESTS_PER_SECOND",
            "1000",
        ),
        ("RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL", "30s"),
        ("RELAYKEEPER__JANITOR__INTERVAL", "10m"),
        ("RELAYKEEPER__SERVER__REQUESTS_PER_SECOND", "0"),
    ];
    settings
        .map(|(name, value)| (name, value.to_owned()))
        .into()
}

/// Commits per second, rows read per second, and the first node's share of one core.
async fn quiet(fleet: &Nodes) -> (f64, f64, f64) {
    let figures = async || {
        let commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        let rows = "SELECT tup_returned FROM pg_stat_database WHERE datname = current_database()";
        let commits = fleet.raw.number(commits).await;
        let rows = fleet.raw.number(rows).await;
        (commits, rows, cpu_seconds(fleet.all[0].id()))
    };
    let before = figures().await;
    let began = Instant::now();
    tokio::time::sleep(QUIET).await;
    let after = figures().await;
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = |before: i64, after: i64| (after - before) as f64 / seconds;
    let cpu = (after.2 - before.2) / seconds;
    (rate(before.0, after.0), rate(before.1, after.1), cpu)
}

/// The time from a node's death until others own its relays. A lone node gets a successor at once.
async fn failover(fleet: &mut Nodes) -> Duration {
    let mut node = fleet.all.remove(0);
    let epoch = format!("SELECT epoch FROM nodes WHERE name LIKE '%/{}'", node.id());
    let epoch = fleet.raw.number(&epoch).await;
    let began = Instant::now();
    node.kill();
    if fleet.all.is_empty() {
        fleet.add().await;
    }
    let condition = format!("ended_at IS NULL AND epoch = {epoch}");
    fleet
        .until("others'", async || fleet.number(&condition).await == 0)
        .await;
    fleet.until_driven().await;
    began.elapsed()
}
