//! Tests of the core without I/O: simulated relays, properties, and an exhaustive search of the ownership protocol.
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

mod egresses;
mod ownership;
mod platforms;
mod relay_properties;
mod simulation;
