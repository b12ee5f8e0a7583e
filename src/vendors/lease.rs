//! Lets calls to the vendors begin only while this process surely owns its relays.
//!
//! A lease counts from when its renewal was sent, so it expires here before it expires in the database. No call begins
//! after half of it. A call in flight is cut before the lease ends: its outcome is unknown.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A call is cut this long before the lease ends: its request may still be in transit, and clocks drift.
const MARGIN: Duration = Duration::from_secs(5);
/// The margin of a short lease is its length divided by this.
const MARGIN_PART: u32 = 9;

/// Two clocks: one of them may stop while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseInstant {
    at: Instant,
    wall: SystemTime,
}

impl LeaseInstant {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    fn passed(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.at.elapsed().max(wall)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct CallDeadline {
    length: Duration,
    until: Instant,
    /// When the lease began, and at which age, by either clock, the call is cut.
    cut_after: Option<(LeaseInstant, Duration)>,
}

impl CallDeadline {
    fn without_lease(length: Duration) -> Self {
        Self {
            length,
            until: Instant::now() + length,
            cut_after: None,
        }
    }

    fn under(lease: LeaseInstant, passed: Duration, limit: Duration) -> Self {
        Self {
            cut_after: Some((lease, limit)),
            ..Self::without_lease(limit.saturating_sub(passed))
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        let cut_after = self.cut_after;
        Instant::now() >= self.until
            || cut_after.is_some_and(|(from, limit)| from.passed() >= limit)
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }
}

/// The right to call the vendors. Clones share it.
#[derive(Debug, Clone)]
pub struct Lease {
    state: Arc<watch::Sender<LeaseState>>,
}

#[derive(Debug, Clone, Copy)]
enum LeaseState {
    /// No other process can take over the relays.
    Forever,
    For(Term),
    NotHeld,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    sent: LeaseInstant,
    length: Duration,
}

impl Term {
    fn allows(&self, timeout: Duration) -> Option<CallDeadline> {
        let passed = self.sent.passed();
        let end = self.length - MARGIN.min(self.length / MARGIN_PART);
        let deadline = || CallDeadline::under(self.sent, passed, end.min(passed + timeout));
        (passed < self.length / 2).then(deadline)
    }
}

impl Lease {
    /// A lease that never expires, for a process with a database of its own.
    #[must_use]
    pub fn for_good() -> Self {
        Self::new(LeaseState::Forever)
    }

    /// A lease that is not held yet.
    #[must_use]
    pub fn not_yet() -> Self {
        Self::new(LeaseState::NotHeld)
    }

    fn new(state: LeaseState) -> Self {
        Self {
            state: Arc::new(watch::Sender::new(state)),
        }
    }

    pub(crate) fn renewed(&self, sent: LeaseInstant, length: Duration) {
        self.state
            .send_replace(LeaseState::For(Term { sent, length }));
    }

    pub(crate) fn revoke(&self) {
        self.state.send_replace(LeaseState::NotHeld);
    }

    /// Whether a call may begin.
    #[must_use]
    pub fn holds(&self) -> bool {
        match *self.state.borrow() {
            LeaseState::Forever => true,
            LeaseState::For(term) => term.allows(Duration::ZERO).is_some(),
            LeaseState::NotHeld => false,
        }
    }

    /// Waits until a call may begin; `false` if that is not before `until`. Await it before taking a permit, so that
    /// the permit is used at once.
    pub(crate) async fn ready(&self, until: Instant) -> bool {
        let mut state = self.state.subscribe();
        loop {
            match *state.borrow_and_update() {
                LeaseState::Forever => return true,
                LeaseState::For(term) if term.allows(Duration::ZERO).is_some() => return true,
                LeaseState::For(_) => {}
                LeaseState::NotHeld => return false,
            }
            if !matches!(timeout_at(until, state.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// The deadline of a call that begins now; `None` if it may not begin.
    pub(super) fn begin(&self, timeout: Duration) -> Option<CallDeadline> {
        match *self.state.borrow() {
            LeaseState::Forever => Some(CallDeadline::without_lease(timeout)),
            LeaseState::For(term) => term.allows(timeout),
            LeaseState::NotHeld => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(45);
    const LONG: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn length(lease: &Lease, timeout: Duration) -> Option<Duration> {
        lease.begin(timeout).map(|deadline| deadline.length())
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_after_half_the_lease_and_none_outlasts_it() {
        let lease = Lease::not_yet();
        assert!(!lease.holds());
        lease.renewed(LeaseInstant::now(), LEASE);
        let deadline = length(&lease, LONG).unwrap();
        assert!(deadline <= seconds(40) && deadline > seconds(39));
        assert_eq!(length(&lease, seconds(10)), Some(seconds(10)));
        tokio::time::advance(seconds(22)).await;
        let begun = lease.begin(LONG).unwrap();
        assert!(begun.length() <= seconds(18) && !begun.has_passed());
        tokio::time::advance(seconds(1)).await;
        assert!(!lease.holds());
        assert_eq!(length(&lease, seconds(10)), None);
        tokio::time::advance(seconds(18)).await;
        assert!(begun.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_when_the_renewal_was_sent() {
        let lease = Lease::not_yet();
        let sent = LeaseInstant::now();
        tokio::time::advance(seconds(10)).await;
        lease.renewed(sent, LEASE);
        assert!(length(&lease, LONG).unwrap() <= seconds(30));
    }

    #[tokio::test(start_paused = true)]
    async fn when_one_clock_stops_during_sleep_the_other_expires_the_lease() {
        let lease = Lease::not_yet();
        let mut sent = LeaseInstant::now();
        sent.wall -= seconds(30);
        lease.renewed(sent, LEASE);
        assert!(!lease.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_renewal_and_is_refused_once_it_is_revoked() {
        let lease = Lease::not_yet();
        let ready = |lease: Lease| async move { lease.ready(Instant::now() + LONG).await };
        assert!(!ready(lease.clone()).await);
        lease.renewed(LeaseInstant::now(), LEASE);
        assert!(ready(lease.clone()).await);
        tokio::time::advance(seconds(30)).await;
        let waiting = tokio::spawn(ready(lease.clone()));
        tokio::time::advance(seconds(5)).await;
        lease.renewed(LeaseInstant::now(), LEASE);
        assert!(waiting.await.unwrap());
        tokio::time::advance(seconds(30)).await;
        assert!(
            !lease.ready(Instant::now() + seconds(1)).await,
            "not in time"
        );
        lease.revoke();
        assert_eq!(length(&lease, seconds(5)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_lease_has_a_short_margin_and_one_for_good_has_none() {
        let lease = Lease::not_yet();
        lease.renewed(LeaseInstant::now(), seconds(9));
        let deadline = length(&lease, LONG).unwrap();
        assert!(deadline <= seconds(8) && deadline > seconds(7));
        let deadline = length(&Lease::for_good(), LONG).unwrap();
        assert!(deadline > seconds(59));
    }
}
