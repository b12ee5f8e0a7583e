//! The wire contract, on the real server, as far as it holds without a relay: who may call, what is refused and how, what
//! the vendors' webhooks and the recorder's page are answered.
//!
//! The process under test does not act (it is one that waits for its database), so that what was found valid is answered
//! 503 `starting`.

mod access;
mod page;
mod reads;
mod seed;
mod service;
mod trpc;
mod validation;
mod vendors;
