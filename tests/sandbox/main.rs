//! The simulated vendors keep what the vendors' documents promise: odd answers, refusals, time, limits, faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]
#![cfg(feature = "sandbox")]

mod broadcast;
mod cloudflare;
mod faults;
mod limits;
mod recorder;
mod support;
mod token;
mod webhooks;
