//! The core of relaykeeper, by itself.

#[path = "../../src/relay/mod.rs"]
pub mod relay;
