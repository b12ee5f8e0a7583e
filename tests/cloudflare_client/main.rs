//! What the Cloudflare client sends, byte for byte, and how it reads every answer that is documented as odd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod budget;
mod create;
mod customer_host;
mod errors;
mod live_inputs;
mod support;
mod videos;
