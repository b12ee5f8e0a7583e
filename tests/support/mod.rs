//! What several test binaries need.
#![allow(dead_code, unreachable_pub, reason = "each binary takes what it needs")]

pub mod cluster;
pub mod database;
pub mod listener;
pub mod marketplace;
pub mod messages;
pub mod postgres;
#[cfg(feature = "sandbox")]
pub mod process;
#[cfg(feature = "sandbox")]
pub mod program;
pub mod proxy;
#[cfg(feature = "sandbox")]
pub mod service;
