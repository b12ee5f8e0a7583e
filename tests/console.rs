//! The operator's console in a real browser: what it shows, what it does, and that everybody can use it.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core under `target/axe`: `./scripts/test` brings both.
#![cfg(feature = "sandbox")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "console/browser.rs"]
mod browser;
#[path = "console/everybody.rs"]
mod everybody;
#[path = "console/operator.rs"]
mod operator;
#[path = "console/past.rs"]
mod past;
#[path = "console/recorder_page.rs"]
mod recorder_page;
#[path = "console/thousands.rs"]
mod thousands;

mod support;
