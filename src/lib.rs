//! relaykeeper broadcasts a seller's Agora channel over a streaming platform: it creates ingest and egress, keeps them running, stops
//! them, accounts for their cost, and leaves no paid vendor resource behind.
//!
//! # Modules
//! A module imports only modules below it; `ARCHITECTURE.md` says which, and `tests/it/architecture.rs` checks it.
//!
//! | module | what it does |
//! |---|---|
//! | [`application`] | builds the service, runs it, and shuts it down in order |
//! | [`console`] | the operators' pages below `/admin` |
//! | [`api`] | HTTP: routes, authentication, limits, problems, the OpenAPI document, the event stream, vendors' webhooks, the recorder page |
//! | [`actors`] | runs relays: an actor each, the registry that restarts them, vendor calls, cleanup jobs, janitor, deliveries, the fleet |
//! | [`platforms`] | the port to a streaming platform, and each platform behind it |
//! | [`egresses`] | the port to what pushes a channel to an ingest: Cloud Recording, Media Push |
//! | [`vendors`] | the client of Agora; what all vendors' clients share: governors of quotas, the lease that guards every call |
//! | [`store`] | SQLite or PostgreSQL, and all SQL; the schema is the crate `migration` |
//! | [`relay`] | the life cycle as a pure state machine: an event and the time in; facts, calls and announcements out |
//! | [`telemetry`] | logs, traces, the table of metrics |
//! | [`config`] | reads the settings, checks them, and says which line is wrong |
//! | `sandbox` | both vendors, simulated over HTTP; imports no other module, needs the feature `sandbox` (on by default) |
//!
//! The binary (`src/main.rs`, `src/cli`) has one file or folder per command.
//!
//! # Where to begin
//! 1. `relay/phase.rs`: the phases and their transitions.
//! 2. `relay/mod.rs`: [`relay::Relay::handle`]; then `relay/fact.rs` (what is stored) and `relay/planner.rs` (which call is next).
//! 3. `actors/relay_actor.rs`: stores a step first, then makes its calls with `actors/calls.rs`.
//! 4. `api/v1/start.rs`: how a start arrives.

pub mod actors;
pub mod api;
pub mod application;
pub mod config;
pub mod console;
pub mod egresses;
pub mod platforms;
pub mod relay;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod vendors;
