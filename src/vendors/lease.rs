//! Whether this process may call a vendor now: only while what it drives is surely its own.
//!
//! A lease counts from the moment its renewal was sent, in this process's own time, so that it is over here before it can be
//! over in the database. No call begins after half of it, and one that is under way is cut before it ends: what came of that
//! is unknown, and found out by whoever has the relay next.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A call is over so long before the lease is: its request may still be on the way, and the clocks of two machines do not run
/// equally fast.
const MARGIN: Duration = Duration::from_secs(5);
/// Of a short lease the margin is this part.
const MARGIN_PART: u32 = 9;

/// A moment by both clocks: a machine that slept may have stopped one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Instant,
    by_the_wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            by_the_wall: SystemTime::now(),
        }
    }

    /// By this process's clock.
    pub(crate) fn at(self) -> Instant {
        self.at
    }

    fn passed(self) -> Duration {
        let by_the_wall = self.by_the_wall.elapsed().unwrap_or_default();
        self.at.elapsed().max(by_the_wall)
    }
}

/// A call that may be made, until an end that no pause moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// How long it may take in all.
    length: Duration,
    until: Instant,
    /// When the lease began, and how long after that, by either clock, it is cut.
    cut: Option<(Moment, Duration)>,
}

impl Allowed {
    fn for_good(length: Duration) -> Self {
        Self {
            length,
            until: Instant::now() + length,
            cut: None,
        }
    }

    /// One that begins now, when so much of the lease has passed, and is cut at the limit.
    fn under(lease: Moment, passed: Duration, limit: Duration) -> Self {
        Self {
            cut: Some((lease, limit)),
            ..Self::for_good(limit.saturating_sub(passed))
        }
    }

    /// Whether it is to be cut now.
    pub(super) fn is_over(&self) -> bool {
        let cut = self.cut;
        Instant::now() >= self.until || cut.is_some_and(|(from, limit)| from.passed() >= limit)
    }

    /// When it is to be cut, by this process's clock.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// How long it may take in all.
    pub(super) fn length(&self) -> Duration {
        self.length
    }
}

/// The right to call the vendors. Clones share it.
#[derive(Debug, Clone)]
pub struct Lease {
    held: Arc<watch::Sender<Held>>,
}

#[derive(Debug, Clone, Copy)]
enum Held {
    /// Nobody else can come by what this process drives.
    ForGood,
    For(Term),
    Not,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    sent: Moment,
    length: Duration,
}

impl Term {
    /// A call that begins now, if one may.
    fn allows(&self, timeout: Duration) -> Option<Allowed> {
        let passed = self.sent.passed();
        let end = self.length - MARGIN.min(self.length / MARGIN_PART);
        let allowed = || Allowed::under(self.sent, passed, end.min(passed + timeout));
        (passed < self.length / 2).then(allowed)
    }
}

impl Lease {
    /// That of a process which shares its database with nobody.
    #[must_use]
    pub fn for_good() -> Self {
        Self::new(Held::ForGood)
    }

    /// That of a process which has none yet.
    #[must_use]
    pub fn not_yet() -> Self {
        Self::new(Held::Not)
    }

    fn new(held: Held) -> Self {
        Self {
            held: Arc::new(watch::Sender::new(held)),
        }
    }

    /// The lease was renewed, by a request sent then.
    pub(crate) fn renewed(&self, sent: Moment, length: Duration) {
        self.held.send_replace(Held::For(Term { sent, length }));
    }

    /// It is another's now, or soon will be: no call begins any more.
    pub(crate) fn revoke(&self) {
        self.held.send_replace(Held::Not);
    }

    /// Whether a call may begin.
    #[must_use]
    pub fn holds(&self) -> bool {
        match *self.held.borrow() {
            Held::ForGood => true,
            Held::For(term) => term.allows(Duration::ZERO).is_some(),
            Held::Not => false,
        }
    }

    /// Waits until a call may begin; false: it may not, or not in time. Asked before a permit is: what is permitted is sent.
    pub(super) async fn opens(&self, until: Instant) -> bool {
        let mut held = self.held.subscribe();
        loop {
            match *held.borrow_and_update() {
                Held::ForGood => return true,
                Held::For(term) if term.allows(Duration::ZERO).is_some() => return true,
                Held::For(_) => {}
                Held::Not => return false,
            }
            if !matches!(timeout_at(until, held.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// A call that begins now and takes as long at most. `None`: it may not.
    pub(super) fn begin(&self, timeout: Duration) -> Option<Allowed> {
        match *self.held.borrow() {
            Held::ForGood => Some(Allowed::for_good(timeout)),
            Held::For(term) => term.allows(timeout),
            Held::Not => None,
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
        lease.begin(timeout).map(|allowed| allowed.length())
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_after_half_the_lease_and_none_outlasts_it() {
        let lease = Lease::not_yet();
        assert!(!lease.holds());
        lease.renewed(Moment::now(), LEASE);
        let allowed = length(&lease, LONG).unwrap();
        assert!(allowed <= seconds(40) && allowed > seconds(39));
        assert_eq!(length(&lease, seconds(10)), Some(seconds(10)));
        tokio::time::advance(seconds(22)).await;
        let begun = lease.begin(LONG).unwrap();
        assert!(begun.length() <= seconds(18) && !begun.is_over());
        tokio::time::advance(seconds(1)).await;
        assert!(!lease.holds());
        assert_eq!(length(&lease, seconds(10)), None);
        tokio::time::advance(seconds(18)).await;
        assert!(begun.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_when_the_renewal_was_sent() {
        let lease = Lease::not_yet();
        let sent = Moment::now();
        tokio::time::advance(seconds(10)).await;
        lease.renewed(sent, LEASE);
        assert!(length(&lease, LONG).unwrap() <= seconds(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_with_one_clock_stopped_is_told_by_the_other() {
        let lease = Lease::not_yet();
        let mut sent = Moment::now();
        sent.by_the_wall -= seconds(30);
        lease.renewed(sent, LEASE);
        assert!(!lease.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_renewal_and_is_refused_once_it_is_revoked() {
        let lease = Lease::not_yet();
        let opens = |lease: Lease| async move { lease.opens(Instant::now() + LONG).await };
        assert!(!opens(lease.clone()).await);
        lease.renewed(Moment::now(), LEASE);
        assert!(opens(lease.clone()).await);
        tokio::time::advance(seconds(30)).await;
        let waiting = tokio::spawn(opens(lease.clone()));
        tokio::time::advance(seconds(5)).await;
        lease.renewed(Moment::now(), LEASE);
        assert!(waiting.await.unwrap());
        tokio::time::advance(seconds(30)).await;
        assert!(
            !lease.opens(Instant::now() + seconds(1)).await,
            "not in time"
        );
        lease.revoke();
        assert_eq!(length(&lease, seconds(5)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_lease_has_a_short_margin_and_one_for_good_has_none() {
        let lease = Lease::not_yet();
        lease.renewed(Moment::now(), seconds(9));
        let allowed = length(&lease, LONG).unwrap();
        assert!(allowed <= seconds(8) && allowed > seconds(7));
        let allowed = length(&Lease::for_good(), LONG).unwrap();
        assert!(allowed > seconds(59));
    }
}
