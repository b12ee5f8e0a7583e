//! The core of relaykeeper, by itself, and what the real platforms promise it.

#[path = "../../src/platforms/mux/capabilities.rs"]
pub mod mux;
#[path = "../../src/relay/mod.rs"]
pub mod relay;
