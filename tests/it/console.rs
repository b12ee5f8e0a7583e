//! The operator's console in a real browser.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core under `target/axe`; `./scripts/test` installs them.
#![cfg(feature = "sandbox")]

mod accessibility;
mod browser;
mod docs;
mod operator;
mod past;
mod recorder_page;
mod thousands;
