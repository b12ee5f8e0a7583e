//! Measures what ten thousand channels cost: `docs/performance.md`, "Channels".
//!
//! ```sh
//! cargo bench --bench channels
//! RELAYKEEPER_CHANNELS=200 cargo bench --bench channels        # a minute; writes no files
//! RELAYKEEPER_PARTS=reads,plain cargo bench --bench channels   # of held, added, watched, reads, notices, plain, sustained, lives
//! ```
//!
//! Prints a table and writes `benches/results/<date>.json`, where other parts of the day are kept; `held` also draws
//! `docs/performance.svg`.
//!
//! | variable | default | |
//! |---|---|---|
//! | `RELAYKEEPER_CHANNELS` | 10000 | concurrent relays; fewer make a short run |
//! | `RELAYKEEPER_HOLD_SECONDS` | 600 | how long they are held |
//! | `RELAYKEEPER_STEPS` | 100,1000,2500,5000 | smaller numbers of relays, measured first |
//! | `RELAYKEEPER_BEFORE` | none | another build of the program, which `notices` measures too |
//! | `RELAYKEEPER_TEST_POSTGRES` | none | URL of a maintenance database: runs `lives` on PostgreSQL too |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark"
)]

#[path = "channels/added.rs"]
mod added;
#[path = "channels/chart.rs"]
mod chart;
#[path = "channels/constant.rs"]
mod constant;
#[path = "channels/direct.rs"]
mod direct;
#[path = "channels/held.rs"]
mod held;
#[path = "channels/lives.rs"]
mod lives;
#[path = "channels/machine.rs"]
mod machine;
#[path = "channels/notices.rs"]
mod notices;
#[path = "channels/plain.rs"]
mod plain;
#[path = "channels/process.rs"]
mod process;
#[path = "channels/ramp.rs"]
mod ramp;
#[path = "channels/reads.rs"]
mod reads;
#[path = "channels/results.rs"]
mod results;
#[path = "channels/service.rs"]
mod service;
#[path = "channels/size.rs"]
mod size;
#[path = "../tests/it/support/mod.rs"]
mod support;
#[path = "channels/sustained.rs"]
mod sustained;
#[path = "channels/vendors.rs"]
mod vendors;
#[path = "channels/watched.rs"]
mod watched;

use results::Results;
use size::Size;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // A child process.
        Some("vendors") => vendors::serve(),
        Some("constant") => constant::serve(),
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        // `cargo test --benches`.
        _ => println!("nothing measured: run with cargo bench"),
    }
}

fn measure() {
    let size = Size::from_env();
    let mut results = Results::new(&size);
    println!("{}\n", results.machine());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // reqwest needs a provider even without TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if size.includes("sustained") {
        results.add("sustained", sustained::measure());
    }
    runtime.block_on(async {
        if size.includes("plain") {
            results.add("plain", plain::measure(&size).await);
        }
        if size.includes("reads") {
            results.add("reads", reads::measure(&size).await);
        }
        if size.includes("notices") {
            results.add("notices", notices::measure(&size).await);
        }
        if size.includes("added") {
            results.add("added", added::measure(&size).await);
        }
        if size.includes("watched") {
            results.add("watched", watched::measure(&size).await);
        }
        if size.includes("held") {
            results.add("held", held::measure(&size).await);
        }
        if size.includes("lives") {
            results.add("lives", lives::measure(&size).await);
        }
    });
    results.finish();
}
