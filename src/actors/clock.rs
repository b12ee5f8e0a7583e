//! What time it is: the wall clock as it was at the start of the process, moved on by the monotonic one. A clock that is
//! set, or steps, never moves a deadline.

use std::time::Instant;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: DateTime<Utc>,
    since: Instant,
}

impl Clock {
    /// Reads the wall clock, for the last time.
    #[must_use]
    pub fn start() -> Self {
        Self {
            wall: Utc::now(),
            since: Instant::now(),
        }
    }

    /// Now, to the millisecond.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.since.elapsed()).unwrap_or(TimeDelta::MAX);
        self.wall
            .checked_add_signed(passed)
            .unwrap_or(self.wall)
            .trunc_subsecs(3)
    }
}
