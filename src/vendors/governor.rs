//! Permits to call a vendor, within its quota.

use std::time::Duration;

use tokio::time::Instant;

/// What a call is for; the order in which permits go out when they are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// Taking down what costs money: a fifth of a budget is kept for it.
    Stop,
    /// Putting a channel on air.
    Start,
    /// Looking after a crash, and watching.
    Recover,
    /// After a relay's end: disabling behind a stopped recorder, recordings, deleting.
    Finalize,
    /// Debts and orphans.
    Janitor,
}

/// Who asks for a permit, and how long it can wait for one.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// What the call is for.
    pub priority: Priority,
    /// When a permit is of no use any more.
    pub until: Instant,
}

/// No permit in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// When one may be had.
    pub retry_after: Duration,
}

/// Gives out permits.
#[derive(Debug, Clone)]
pub struct Governor;

impl Governor {
    /// So many permits in every second.
    #[must_use]
    pub fn per_second(_name: &'static str, _permits: u32) -> Self {
        Self
    }

    /// Waits for `permits` permits, given together.
    ///
    /// # Errors
    /// [`Denied`] when they cannot be had before `caller.until`.
    pub async fn permits(&self, _caller: Caller, _permits: u32) -> Result<(), Denied> {
        Ok(())
    }

    /// The vendor said to stop for so long: nobody gets a permit until then.
    pub fn pause(&self, _pause: Duration) {}
}
