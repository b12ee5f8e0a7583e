//! What the whole program promises: the service over HTTP, its database, its commands, its clients of the vendors.
//!
//! One binary, for each one links the whole service anew. What needs only the core is in `tests/relay`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod agora_client;
mod api_contract;
mod architecture;
mod cli;
mod cloudflare_client;
mod commands;
mod console;
mod documents;
mod egresses;
mod event_stream;
mod faults;
mod fleet;
mod hardening;
mod journals;
mod lifecycle;
mod logs;
mod many;
mod metrics;
mod migrations;
mod oddities;
mod panics;
mod probe;
mod recovery;
mod refusals;
mod sandbox;
mod second_process;
mod secrets;
mod sellers;
mod settings;
mod shutdown;
mod soak;
mod stops;
mod storage;
mod store;
mod support;
mod webhooks_out;
