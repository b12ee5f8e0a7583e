//! The API's contract as far as it holds without a relay: access, refusals, reads, webhooks and the recorder's page.
//!
//! The process under test waits for its database and does not act: it answers 503 `starting` to a valid request.

mod access;
mod page;
mod reads;
mod seed;
mod service;
mod trpc;
mod validation;
mod vendors;
