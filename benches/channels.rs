//! What ten thousand channels cost: the figures of `docs/performance.md`, "Channels".
//!
//! ```sh
//! cargo bench --bench channels
//! RELAYKEEPER_CHANNELS=200 cargo bench --bench channels        # a try, in a minute; it writes nothing into the repository
//! RELAYKEEPER_PARTS=reads,plain cargo bench --bench channels   # some parts only: held, added, watched, reads, plain,
//!                                                              # sustained, lives
//! ```
//!
//! It prints one table, with the machine it ran on, and writes `benches/results/<date>.json`; the part `held` also draws
//! `docs/performance.svg`. Parts that did not run keep what that day's file has of them.
//!
//! | variable | default | |
//! |---|---|---|
//! | `RELAYKEEPER_CHANNELS` | 10000 | relays held at once; with fewer everything is shorter |
//! | `RELAYKEEPER_HOLD_SECONDS` | 600 | how long they are held |
//! | `RELAYKEEPER_STEPS` | 100,1000,2500,5000 | the numbers of relays that are looked at before that one |
//! | `RELAYKEEPER_TEST_POSTGRES` | none | a server (the URL of a maintenance database), for the lives on PostgreSQL |
//!
//! Service and simulated vendors are processes of their own, on this machine; what the service costs is read from `/proc`.
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
#[path = "channels/plain.rs"]
mod plain;
#[path = "channels/plot.rs"]
mod plot;
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
        // This program once more, as the other side.
        Some("vendors") => vendors::serve(),
        Some("constant") => constant::serve(),
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        // `cargo test --benches` comes here as well.
        _ => println!("nothing is measured: run it with cargo bench"),
    }
}

/// All parts that are wanted, one after the other.
fn measure() {
    let size = Size::told();
    let mut results = Results::new(&size);
    println!("{}\n", results.machine());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // What makes an HTTP client wants one, though nothing here speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if size.wants("sustained") {
        results.add("sustained", sustained::measure());
    }
    runtime.block_on(async {
        if size.wants("plain") {
            results.add("plain", plain::measure(&size).await);
        }
        if size.wants("reads") {
            results.add("reads", reads::measure(&size).await);
        }
        if size.wants("added") {
            results.add("added", added::measure(&size).await);
        }
        if size.wants("watched") {
            results.add("watched", watched::measure(&size).await);
        }
        if size.wants("held") {
            results.add("held", held::measure(&size).await);
        }
        if size.wants("lives") {
            results.add("lives", lives::measure(&size).await);
        }
    });
    results.finish();
}
