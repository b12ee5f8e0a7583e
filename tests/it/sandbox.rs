//! The simulated vendors keep what the vendors' documents promise: odd answers, refusals, time, limits, faults.
#![cfg(feature = "sandbox")]

mod broadcast;
mod cloudflare;
mod faults;
mod limits;
mod recorder;
mod support;
mod token;
mod webhooks;
