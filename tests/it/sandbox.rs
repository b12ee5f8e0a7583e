//! The simulated vendors keep what the vendors' documents promise: odd answers, refusals, time, limits, faults.
#![cfg(feature = "sandbox")]

mod broadcast;
mod cloudflare;
mod egress;
mod faults;
mod limits;
mod support;
mod token;
mod webhooks;
