//! Vendor calls that failed, as the life cycle sees them, and when to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kind of failure it is, by what the caller can do about it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// The credentials were refused: only others help.
    Unauthorized,
    /// The request was refused as wrong: the same request will be refused again.
    Rejected,
    /// The object is not there. At Agora this may be a fail-over.
    NotFound,
    /// Something is in the way: a name is taken, a recording is still being recorded.
    Conflict,
    /// Too many requests, told by the vendor or by our own governor.
    RateLimited,
    /// The account's quota of something is used up, or a product is not enabled for it.
    Quota,
    /// The vendor could not be reached, or failed (5xx).
    Unavailable,
    /// No answer in time.
    Timeout,
    /// An answer that does not follow the documents.
    Unexpected,
}

impl Class {
    /// Whether the same request may succeed later. A refusal of credentials is judged where it is met.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Unexpected => true,
            Self::Unauthorized | Self::Rejected | Self::NotFound | Self::Conflict | Self::Quota => {
                false
            }
        }
    }
}

/// A vendor call that failed. Its texts hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who was called: `cloudflare` or `agora`.
    pub vendor: String,
    /// Which call, in the vendor's words.
    pub call: String,
    /// What kind of failure it is.
    pub class: Class,
    /// Whether the call may have been carried out all the same.
    pub maybe_done: bool,
    /// The HTTP status, when there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The vendor's own words, secrets removed.
    pub message: String,
    /// How long the vendor asks to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The longest wait a vendor can ask for. What the shell hands in is bounded already; a journal may hold more.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Failure {
    /// How long the vendor asks to wait, 5 minutes at most.
    #[must_use]
    pub fn asked_wait(&self) -> Option<Duration> {
        let asked = Duration::from_millis(self.retry_after_ms?);
        Some(asked.min(LONGEST_WAIT))
    }

    /// Whether the vendor never got the call: our own rate budget had no permit before the deadline.
    #[must_use]
    pub fn is_own_budget(&self) -> bool {
        self.class == Class::RateLimited && self.status.is_none()
    }
}

/// A draw that spreads retries and polls: 0 to 999 thousandths. Given in, so that the life cycle stays a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jitter(u16);

impl Jitter {
    /// From any number.
    #[must_use]
    pub fn new(draw: u16) -> Self {
        Self(draw % 1000)
    }

    /// That part of a duration.
    #[must_use]
    pub fn of(self, whole: Duration) -> Duration {
        whole * u32::from(self.0) / 1000
    }
}

/// Waits that double from `first` to `cap`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after a failure that follows `earlier` failures in a row.
    #[must_use]
    pub fn after(self, earlier: u32) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(earlier));
        doubled.min(self.cap)
    }
}

/// The wait before the next try: doubling from `first` to 15 s, times 0.5 to 1.5, and at least what the vendor asks for.
#[must_use]
pub(super) fn back_off(
    first: Duration,
    failures: u32,
    jitter: Jitter,
    failure: &Failure,
) -> Duration {
    let spread = doubled(first, failures, jitter);
    spread.max(failure.asked_wait().unwrap_or_default())
}

/// The wait after that many tries in a row: doubling from `first` to 15 s, times 0.5 to 1.5.
#[must_use]
pub(super) fn doubled(first: Duration, tries: u32, jitter: Jitter) -> Duration {
    let cap = Duration::from_secs(15);
    let base = Backoff { first, cap }.after(tries.saturating_sub(1));
    base / 2 + jitter.of(base)
}
