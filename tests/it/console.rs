//! The operator's console, the recorder's page and the buyers' page in a real browser.
//!
//! Needs Debian's chromium and chromium-driver, and scripts under `target/axe` and `target/agora-rtc`; `./scripts/test` installs them.
#![cfg(feature = "sandbox")]

mod accessibility;
mod browser;
mod buyers_page;
mod delays;
mod docs;
mod operator;
mod past;
mod recorder_page;
mod thousands;
mod whole_path;
