//! Rate limits in simulated time.

use std::collections::VecDeque;
use std::time::Duration;

/// An exact sliding window.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct QuotaWindow(VecDeque<Duration>);

impl QuotaWindow {
    fn expire(&mut self, now: Duration, span: Duration) {
        while self.0.front().is_some_and(|first| *first + span <= now) {
            self.0.pop_front();
        }
    }

    /// Counts a call, unless the limit is reached.
    pub(in crate::sandbox) fn admit(&mut self, now: Duration, span: Duration, limit: u32) -> bool {
        self.expire(now, span);
        if u32::try_from(self.0.len()).unwrap_or(u32::MAX) >= limit {
            return false;
        }
        self.0.push_back(now);
        true
    }

    /// Remaining calls, and when the oldest counted one leaves the window.
    pub(in crate::sandbox) fn left(
        &mut self,
        now: Duration,
        span: Duration,
        limit: u32,
    ) -> (u32, Duration) {
        self.expire(now, span);
        let used = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let reset = self
            .0
            .front()
            .map_or(span, |first| (*first + span).saturating_sub(now));
        (limit.saturating_sub(used), reset)
    }
}

/// Cloudflare's limit: exceeding it blocks every call for a whole window (`cloudflare-stream.md §1.4`).
#[derive(Debug, Default)]
pub(in crate::sandbox) struct BlockingWindow {
    window: QuotaWindow,
    blocked_until: Option<Duration>,
}

impl BlockingWindow {
    /// `Err`: how much longer calls are blocked, and whether this one exceeded the limit.
    pub(in crate::sandbox) fn admit(
        &mut self,
        now: Duration,
        span: Duration,
        limit: u32,
    ) -> Result<(), (Duration, bool)> {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Err((until.saturating_sub(now), false));
            }
            self.blocked_until = None;
        }
        if self.window.admit(now, span, limit) {
            return Ok(());
        }
        self.blocked_until = Some(now + span);
        Err((span, true))
    }

    pub(in crate::sandbox) fn left(
        &mut self,
        now: Duration,
        span: Duration,
        limit: u32,
    ) -> (u32, Duration) {
        match self.blocked_until {
            Some(until) if now < until => (0, until.saturating_sub(now)),
            Some(_) | None => self.window.left(now, span, limit),
        }
    }
}

/// Refilled over simulated time; full at first.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct TokenBucket {
    /// In thousandths.
    used: u128,
    at: Duration,
}

impl TokenBucket {
    /// `Err`: the wait for the next token.
    pub(in crate::sandbox) fn take(
        &mut self,
        now: Duration,
        size: u32,
        per_second: u32,
    ) -> Result<(), Duration> {
        let elapsed = now.saturating_sub(self.at).as_millis();
        self.used = self.used.saturating_sub(elapsed * u128::from(per_second));
        self.at = now;
        let after = self.used + 1000;
        let most = u128::from(size) * 1000;
        if after > most {
            let missing = u64::try_from(after - most).unwrap_or(u64::MAX);
            return Err(Duration::from_millis(
                missing / u64::from(per_second.max(1)),
            ));
        }
        self.used = after;
        Ok(())
    }
}
