//! relaykeeper broadcasts a seller's Agora channel over Cloudflare Stream: it starts the egress and the ingest, keeps them running,
//! stops them, accounts for their cost, and leaves no paid vendor resource behind.
//!
//! # Modules
//! A module imports only modules further down, and of those only what the table in `ARCHITECTURE.md` allows;
//! `tests/it/architecture.rs` checks the table.
//!
//! | module | what it does |
//! |---|---|
//! | [`application`] | Builds the service from the modules below, runs it until it is told to stop, and shuts it down in order. |
//! | [`console`] | The operators' pages below `/admin`: the fleet now, each relay, the history. |
//! | [`api`] | HTTP: routes, authentication, limits, errors, the OpenAPI document, the event stream, the vendors' webhooks, the page that the egress records. |
//! | [`actors`] | Runs relays: one actor each, a registry that restarts them, the calls to vendors, cleanup jobs, the janitor, deliveries, ownership in a fleet. |
//! | [`vendors`] | The HTTP clients of Agora and Cloudflare, the governors of their rate limits, and the lease that guards each call. |
//! | [`store`] | The database, SQLite or PostgreSQL, and all SQL. The schema is in the crate `migration`. |
//! | [`relay`] | The life of a relay as a pure state machine: an event and the time go in, facts, calls and messages to the marketplace come out. No I/O, no clock, no async. |
//! | [`telemetry`] | Logs, traces, and the table of metrics. |
//! | [`config`] | The settings: read, checked, and explained where they are wrong. |
//! | `sandbox` | Both vendors, simulated over HTTP; only with the feature `sandbox`, which is on by default. It imports no other module, so that it is a second reading of the vendors' documents. |
//!
//! The binary (`src/main.rs`, `src/cli`) has one file or folder per command, on top of all of them.
//!
//! # Where to begin reading
//! 1. `relay/phase.rs`: the phases and the table of transitions.
//! 2. `relay/mod.rs`: [`relay::Relay::handle`], then `relay/fact.rs` (what is stored) and `relay/planner.rs` (which call is next).
//! 3. `actors/relay_actor.rs`: how a step is stored first and its calls are made afterwards; `actors/calls.rs` makes them.
//! 4. `api/v1/start.rs`: how a start arrives. `application/mod.rs`: how everything is put together.
//! 5. `sandbox/mod.rs`: how the vendors behave, and what they can do wrong.

pub mod actors;
pub mod api;
pub mod application;
pub mod config;
pub mod console;
pub mod relay;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod vendors;
