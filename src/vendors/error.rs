//! What can go wrong with a vendor call, classified by what the caller can do about it.

use std::time::Duration;

// All that this room takes from the life cycle.
pub use crate::relay::Class;

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Vendor {
    /// Cloudflare Stream.
    Cloudflare,
    /// Agora.
    Agora,
}

/// Whether a call that failed may have been carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was not carried out.
    No,
    /// It may have been: look before repeating what must not happen twice.
    Unknown,
}

/// A vendor call that failed. Its texts hold no secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{vendor} {call}: {class}{}: {message}", status.map(|s| format!(" ({s})")).unwrap_or_default())]
pub struct VendorError {
    /// Who was called.
    pub vendor: Vendor,
    /// Which call, in the vendor's words: `live_inputs.create`.
    pub call: &'static str,
    /// What kind of failure it is.
    pub class: Class,
    /// Whether it may have been carried out.
    pub done: Done,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The vendor's own code in the body.
    pub code: Option<i64>,
    /// The vendor's own words or the transport's, secrets removed, at most 300 characters.
    pub message: String,
    /// How long the vendor asks to wait.
    pub retry_after: Option<Duration>,
}
