//! Failures of vendor calls, and when to retry.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the caller can do about a failure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Class {
    Unauthorized,
    /// Invalid: a repeat will be refused too.
    Rejected,
    /// The object does not exist. At Agora, it may be moving.
    NotFound,
    /// A name is taken, or a recording is in progress.
    Conflict,
    /// By the vendor, or by our own governor.
    RateLimited,
    /// Quota used up, or product not enabled.
    Quota,
    /// Unreachable, or 5xx.
    Unavailable,
    Timeout,
    /// The answer contradicts the vendor's documents.
    Unexpected,
}

impl Class {
    /// Whether the same request may succeed later. Refused credentials are judged by the caller.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Unexpected => true,
            Self::Unauthorized | Self::Rejected | Self::NotFound | Self::Conflict | Self::Quota => {
                false
            }
        }
    }
}

/// A failed vendor call. Contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Failure {
    /// The platform's name, or `agora`.
    pub vendor: String,
    /// The vendor's name of the call.
    pub call: String,
    pub class: Class,
    /// Whether the call may have been carried out.
    pub maybe_done: bool,
    /// If there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The vendor's message, with secrets removed.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A stored failure may ask for any wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Failure {
    /// How long the vendor asks to wait, at most 5 minutes.
    #[must_use]
    pub fn asked_wait(&self) -> Option<Duration> {
        let asked = Duration::from_millis(self.retry_after_ms?);
        Some(asked.min(LONGEST_WAIT))
    }

    /// Whether the call was not sent: our governor gave no permit in time.
    #[must_use]
    pub fn is_own_budget(&self) -> bool {
        self.class == Class::RateLimited && self.status.is_none()
    }
}

/// 0 to 999 thousandths, to spread retries and polls. Drawn outside, so that the core is deterministic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jitter(u16);

impl Jitter {
    /// From any number.
    #[must_use]
    pub fn new(draw: u16) -> Self {
        Self(draw % 1000)
    }

    /// This part of a duration.
    #[must_use]
    pub fn of(self, whole: Duration) -> Duration {
        whole * u32::from(self.0) / 1000
    }
}

/// Waits that double from `first` to `cap`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The wait after a failure that follows `earlier` others.
    #[must_use]
    pub fn after(self, earlier: u32) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(earlier));
        doubled.min(self.cap)
    }
}

/// [`doubled`], and at least what the vendor asks for.
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

/// Doubles from `first` to 15 s, times 0.5 to 1.5.
#[must_use]
pub(super) fn doubled(first: Duration, tries: u32, jitter: Jitter) -> Duration {
    let cap = Duration::from_secs(15);
    let base = Backoff { first, cap }.after(tries.saturating_sub(1));
    base / 2 + jitter.of(base)
}
