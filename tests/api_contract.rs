//! The wire contract, on the real server, as far as it holds without a relay: who may call, what is refused and how, what
//! the vendors' webhooks and the recorder's page are answered.
//!
//! The process under test does not act (it is one that waits for its database), so that what was found valid is answered
//! 503 `starting`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "api_contract/access.rs"]
mod access;
#[path = "api_contract/page.rs"]
mod page;
#[path = "api_contract/reads.rs"]
mod reads;
#[path = "api_contract/seed.rs"]
mod seed;
#[path = "api_contract/service.rs"]
mod service;
#[path = "api_contract/trpc.rs"]
mod trpc;
#[path = "api_contract/validation.rs"]
mod validation;
#[path = "api_contract/vendors.rs"]
mod vendors;
