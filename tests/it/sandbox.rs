//! The simulated vendors behave as documented.
#![cfg(feature = "sandbox")]

mod broadcast;
mod cloudflare;
mod egress;
mod faults;
mod ivs;
mod limits;
mod mux;
mod support;
mod token;
mod webhooks;
