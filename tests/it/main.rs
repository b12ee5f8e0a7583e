//! Tests of the whole program: one binary, because each links the whole service. Tests of the core alone are in `tests/relay`.
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
mod contract;
mod documents;
mod each_platform;
mod egresses;
mod event_stream;
mod faults;
mod fleet;
mod hardening;
mod ivs;
mod ivs_client;
mod ivs_moto;
mod ivs_roles;
mod ivs_sdk;
mod journals;
mod kept_ingests;
mod latency;
mod lifecycle;
mod logs;
mod many;
mod media;
mod metrics;
mod migrations;
mod mux;
mod mux_client;
mod mux_sdk;
mod oddities;
mod orphans;
mod panics;
mod platforms;
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
mod third_egress;
mod three_platforms;
mod webhooks_out;
