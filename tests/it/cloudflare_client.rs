//! What the Cloudflare client sends, byte for byte, and how it reads every documented oddity.

mod budget;
mod create;
mod customer_host;
mod errors;
mod live_inputs;
mod support;
mod videos;
