//! What the Cloudflare client sends, and how it reads every documented answer.

mod budget;
mod create;
mod customer_host;
mod errors;
mod live_inputs;
mod support;
mod videos;
