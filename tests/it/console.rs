//! The operator's console in a real browser: what it shows, what it does, and that everybody can use it.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core under `target/axe`: `./scripts/test` brings both.
#![cfg(feature = "sandbox")]

mod browser;
mod docs;
mod everybody;
mod operator;
mod past;
mod recorder_page;
mod thousands;
