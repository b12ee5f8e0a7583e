//! Vendor errors, classified by what the caller can do about them.

use std::time::Duration;

pub use crate::relay::Class;

/// A vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Vendor {
    /// Agora.
    Agora,
    /// A streaming platform, by its name.
    #[strum(to_string = "{0}")]
    Platform(&'static str),
}

/// Whether a failed call may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The call had no effect.
    No,
    /// It may have taken effect: find out before repeating it.
    Unknown,
}

/// A failed vendor call. Its texts contain no secrets.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{vendor} {call}: {class}{}: {message}", status.map(|s| format!(" ({s})")).unwrap_or_default())]
pub struct VendorError {
    /// The vendor.
    pub vendor: Vendor,
    /// For instance `rtmp_converters.create`.
    pub call: &'static str,
    /// The kind of failure.
    pub class: Class,
    /// Whether the call may have taken effect.
    pub done: Done,
    /// The status of the answer, if any.
    pub status: Option<u16>,
    /// The vendor's code in the body.
    pub code: Option<i64>,
    /// The vendor's or the transport's text, redacted, at most 300 characters.
    pub message: String,
    /// How long the vendor asks to wait.
    pub retry_after: Option<Duration>,
}
