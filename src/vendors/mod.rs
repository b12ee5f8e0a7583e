//! What the clients of all vendors share: errors, one HTTP exchange, governors that keep calls within quotas, the lease. And
//! Agora's client; the platforms' are in [`crate::platforms`].

pub mod agora;
mod error;
pub mod governor;
pub(crate) mod health;
pub(crate) mod http;
pub mod lease;
mod notification;
pub(crate) mod number;
mod proxy;
pub(crate) mod redact;

pub use error::{Class, Done, Vendor, VendorError};
pub use health::LastError;
pub use notification::{Notification, Refused};
pub(crate) use notification::{hmac_hex, is_secret, json_of, number, same, text, unverified};
pub use proxy::{BadProxy, Proxy, proxy};
