//! Also for benchmarks.
#![allow(
    dead_code,
    reason = "a benchmark, or a build without the sandbox, needs some of it"
)]

#[cfg(feature = "sandbox")]
pub mod aws;
#[cfg(feature = "sandbox")]
pub mod bench;
pub mod cluster;
pub mod console;
pub mod database;
pub mod listener;
pub mod marketplace;
pub mod messages;
#[cfg(feature = "sandbox")]
pub mod platform;
pub mod postgres;
#[cfg(feature = "sandbox")]
pub mod process;
#[cfg(feature = "sandbox")]
pub mod program;
pub mod proxy;
#[cfg(feature = "sandbox")]
pub mod service;
pub mod stored;
pub mod usage;
