//! What the core promises, with no I/O: simulated lives, properties, and the search of how nodes own relays.
//!
//! A package of its own, `relaykeeper-relay-tests`: it compiles only the core, and for speed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::manual_is_multiple_of,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

extern crate relaykeeper_core as relaykeeper;

mod ownership;
mod relay_properties;
mod simulation;
