//! relaykeeper puts a seller's Agora channel on air over Cloudflare Stream, keeps it there, takes it down and accounts
//! for it, and never leaves a paid vendor resource behind.

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
