//! Clients of the vendors' APIs, with governors that keep calls within the vendors' quotas.

pub mod agora;
pub mod cloudflare;
mod error;
pub mod governor;
mod health;
mod http;
pub mod lease;
mod number;
mod proxy;
mod redact;

pub use error::{Class, Done, Vendor, VendorError};
pub use health::LastError;
pub use proxy::{BadProxy, Proxy, proxy};
