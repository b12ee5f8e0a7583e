//! relaykeeper broadcasts a seller's Agora channel over Cloudflare Stream: it creates ingest and egress, keeps them running, stops
//! them, accounts for their cost, and leaves no paid vendor resource behind.
//!
//! `ARCHITECTURE.md` says what each module does, what it may import (`tests/it/architecture.rs` checks that), and where to begin
//! reading. The binary (`src/main.rs`, `src/cli`) has one file or folder per command. The module `sandbox`, both vendors simulated,
//! needs the feature `sandbox`, which is on by default.

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
