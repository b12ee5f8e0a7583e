//! Real pictures and sound through the simulated vendors: pushed by ffmpeg, played from HLS. In real time, and without a browser.
#![cfg(feature = "sandbox")]

mod faults;
mod ingest;
mod program;
mod shows;
pub(crate) mod support;
