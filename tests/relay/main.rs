//! What the core promises, with no I/O: simulated lives, properties, and the search of how nodes own relays.
//!
//! A binary of its own: it needs little of the crate, and `cargo-mutants` runs it for each mutant of the core.
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

mod ownership;
mod relay_properties;
mod simulation;
