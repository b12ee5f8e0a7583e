//! How much of a quota is used: an exact sliding window, without a clock of its own.
//!
//! A call counts from its permit until a whole window after it came home: the vendor counted it somewhere between, so
//! whatever the way took, no window of the vendor's holds more than we allow. (A token bucket with a burst lets twice
//! its quota through one window.)

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::vendors::http::MAX_WAIT;

/// How long a use is remembered after it left the window: longer than a call may be under way.
const KEEP_EXPIRED: Duration = Duration::from_secs(60);

/// On whose account a use goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// A fifth of the budget is kept for stops.
    Stop,
    /// Everything else of ours.
    Rest,
    /// What other users of the same quota did, other processes of ours included.
    Others,
}

/// What an answer's `Ratelimit` and `Ratelimit-Policy` headers say (`cloudflare-stream.md §1.4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaReport {
    /// How many requests the vendor says are left (`r`).
    pub remaining: u32,
    /// The quota the vendor says this is of (`q`), when it says so.
    pub quota: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: Instant,
    pool: Pool,
    count: u32,
}

/// So many uses per purse.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    stop: u32,
    rest: u32,
    others: u32,
}

impl Tally {
    fn add(&mut self, pool: Pool, count: u32) {
        let slot = self.slot(pool);
        *slot = slot.saturating_add(count);
    }

    fn take(&mut self, pool: Pool, count: u32) {
        let slot = self.slot(pool);
        *slot = slot.saturating_sub(count);
    }

    fn slot(&mut self, pool: Pool) -> &mut u32 {
        match pool {
            Pool::Stop => &mut self.stop,
            Pool::Rest => &mut self.rest,
            Pool::Others => &mut self.others,
        }
    }

    fn total(self) -> u32 {
        self.own().saturating_add(self.others)
    }

    fn own(self) -> u32 {
        self.stop.saturating_add(self.rest)
    }
}

/// The accounts of one quota.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    length: Duration,
    /// The quota the settings name.
    quota: u32,
    share: f64,
    /// The most uses in any window.
    allowed: u32,
    /// Whether a fifth of it is kept for stops.
    reserves: bool,
    /// The most uses of this process in any window, where it is not alone.
    own: Option<u32>,
    /// Whether it is known what others, or an earlier process, have used.
    known: bool,
    /// Whether the vendor tells what is left, so that it can be asked.
    reports_quota: bool,
    /// Uses by the time they count from, the oldest first.
    log: VecDeque<Use>,
    /// Uses that left the window a short while ago.
    left: VecDeque<Use>,
    /// The sum of `log`.
    logged: Tally,
    /// Permits out whose calls have not come home.
    in_flight: Tally,
    paused_until: Option<Instant>,
}

impl SlidingWindow {
    /// `share` of `quota` in every `length`, a fifth of it kept for stops. With `known`, nobody else uses the quota.
    pub(super) fn new(quota: u32, length: Duration, share: f64, known: bool) -> Self {
        let allowed = part(quota, share);
        Self {
            length,
            quota,
            share,
            allowed,
            reserves: true,
            own: None,
            known,
            reports_quota: !known,
            log: VecDeque::new(),
            left: VecDeque::new(),
            logged: Tally::default(),
            in_flight: Tally::default(),
            paused_until: None,
        }
    }

    /// Nothing is kept for stops: there are none.
    pub(super) fn without_stops(mut self) -> Self {
        self.reserves = false;
        self
    }

    /// The most uses a second, of all processes, in the long run.
    pub(super) fn rate(&self) -> f64 {
        f64::from(self.allowed) / self.length.as_secs_f64()
    }

    /// The most uses in any window.
    pub(super) fn allowed(&self) -> u32 {
        self.allowed
    }

    /// The most of them that may be this process's.
    pub(super) fn share(&self) -> u32 {
        self.own.map_or(self.allowed, |own| own.min(self.allowed))
    }

    /// The uses that count now.
    pub(super) fn used(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.logged.total().saturating_add(self.in_flight.total())
    }

    /// What this process may still use at once.
    pub(super) fn left(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.free(Pool::Stop, self.counted())
    }

    /// This process's part of them.
    pub(super) fn used_by_us(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.counted().own()
    }

    /// From now on this process may use so many in any window, however many are left to all. What it has used already
    /// counts. If that is more than before, others may have used the difference: where the vendor tells what is left, one call
    /// goes alone, and finds out.
    pub(super) fn set_own(&mut self, own: u32) {
        let before = self.own.replace(own);
        if self.reports_quota && before.is_some_and(|before| own > before) {
            self.known = false;
        }
    }

    /// How long nobody gets a permit.
    pub(super) fn paused_for(&self, now: Instant) -> Option<Duration> {
        self.paused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|pause| !pause.is_zero())
    }

    /// Gives no permit for `pause`, or for [`MAX_WAIT`] if that is shorter.
    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(MAX_WAIT);
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    /// Whether `count` permits may go out now. More than the purse ever holds go when it is full, and are paid off in
    /// the windows that follow.
    pub(super) fn fits(&mut self, pool: Pool, count: u32, now: Instant) -> bool {
        self.advance(now);
        if self.paused_for(now).is_some() || self.awaits_first_answer() {
            return false;
        }
        let capacity = self.capacity(pool);
        capacity > 0 && self.free(pool, self.counted()) >= count.min(capacity)
    }

    /// Whether `count` permits for stops are within the part kept for them.
    pub(super) fn fits_reserve(&mut self, count: u32, now: Instant) -> bool {
        self.advance(now);
        let reserved = self.reserved();
        let reserved = self
            .own
            .map_or(reserved, |own| reserved.min(self.reserved_of_share(own)));
        self.counted().stop.saturating_add(count) <= reserved
    }

    /// Permits go out.
    pub(super) fn take(&mut self, pool: Pool, count: u32) {
        self.in_flight.add(pool, count);
    }

    /// Permits come back without a call.
    pub(super) fn give_back(&mut self, pool: Pool, count: u32) {
        self.in_flight.take(pool, count);
    }

    /// Calls have come home, or will not: they count from now.
    pub(super) fn done(&mut self, pool: Pool, count: u32, now: Instant) {
        self.advance(now);
        self.in_flight.take(pool, count);
        let capacity = self.capacity(pool).max(1);
        let (mut at, mut open) = (now, count);
        while open > 0 {
            let part = open.min(capacity);
            self.enter(Use {
                at,
                pool,
                count: part,
            });
            open -= part;
            at += self.length;
        }
    }

    /// A call sent at `sent` was answered, with or without word of what is left. The vendor's word counts when it is
    /// the lower one. Returns whether more may go out than before.
    pub(super) fn observe(
        &mut self,
        sent: Instant,
        now: Instant,
        report: Option<QuotaReport>,
    ) -> bool {
        self.advance(now);
        let before = (self.known, self.allowed);
        self.known = true;
        if let Some(report) = report {
            let quota = report.quota.unwrap_or(self.quota);
            self.allowed = part(quota.min(self.quota), self.share);
            let theirs = quota.saturating_sub(report.remaining);
            // The vendor counted between `sent` and now: what has left the window since is in its count as well.
            let gone = self
                .left
                .iter()
                .filter(|used| used.at + self.length > sent)
                .fold(0u32, |sum, used| sum.saturating_add(used.count));
            let ours = self.counted().total().saturating_add(gone);
            if theirs > ours {
                self.enter(Use {
                    at: now,
                    pool: Pool::Others,
                    count: theirs - ours,
                });
            }
        }
        before.0 != self.known || before.1 < self.allowed
    }

    /// The earliest time at which `count` permits can have gone out one after the other, when nobody else asks; later
    /// when calls under way come home late. `None`: that hangs on an answer that is still out, or on this process's being
    /// given a share.
    pub(super) fn earliest(&mut self, pool: Pool, count: u32, now: Instant) -> Option<Instant> {
        self.advance(now);
        let start = self.paused_until.map_or(now, |until| until.max(now));
        let capacity = self.capacity(pool);
        if self.awaits_first_answer() || capacity == 0 {
            return None;
        }
        let rounds = count.saturating_sub(1) / capacity;
        let first = count.saturating_sub(1) % capacity + 1;
        Some(start.max(self.first_free(pool, first, now)) + self.length * rounds)
    }

    /// The first time at which `count` permits, at most the capacity, are free.
    fn first_free(&self, pool: Pool, count: u32, now: Instant) -> Instant {
        let mut counted = self.counted();
        if self.free(pool, counted) >= count {
            return now;
        }
        for used in &self.log {
            counted.take(used.pool, used.count);
            if self.free(pool, counted) >= count {
                return used.at + self.length;
            }
        }
        now + self.length
    }

    /// What a purse holds at most.
    pub(super) fn capacity(&self, pool: Pool) -> u32 {
        let nothing = Tally::default();
        self.free(pool, nothing)
    }

    /// How much is left of all that is allowed, and of this process's share of it.
    fn free(&self, pool: Pool, counted: Tally) -> u32 {
        let left = |most: u32, reserved: u32| {
            let held = match pool {
                Pool::Stop => counted.stop,
                Pool::Rest | Pool::Others => counted.stop.max(reserved),
            };
            most.saturating_sub(held.saturating_add(counted.rest))
        };
        let of_all = left(self.allowed, self.reserved()).saturating_sub(counted.others);
        match self.own {
            Some(own) => of_all.min(left(own, self.reserved_of_share(own))),
            None => of_all,
        }
    }

    /// The part of what all may use that only stops may use.
    fn reserved(&self) -> u32 {
        match self.reserves {
            true => self.allowed / 5,
            false => 0,
        }
    }

    /// The same of a share: a fifth at least, if it can be divided at all.
    fn reserved_of_share(&self, own: u32) -> u32 {
        match own {
            0 | 1 => 0,
            own if self.reserves => own.div_ceil(5),
            _ => 0,
        }
    }

    fn counted(&self) -> Tally {
        Tally {
            stop: self.logged.stop.saturating_add(self.in_flight.stop),
            rest: self.logged.rest.saturating_add(self.in_flight.rest),
            others: self.logged.others,
        }
    }

    /// Until it is known what was used before, one call goes alone.
    fn awaits_first_answer(&self) -> bool {
        !self.known && self.in_flight.total() > 0
    }

    fn enter(&mut self, used: Use) {
        self.logged.add(used.pool, used.count);
        let place = self.log.partition_point(|other| other.at <= used.at);
        self.log.insert(place, used);
    }

    fn advance(&mut self, now: Instant) {
        while let Some(used) = self.log.pop_front() {
            if used.at + self.length > now {
                self.log.push_front(used);
                break;
            }
            self.logged.take(used.pool, used.count);
            self.left.push_back(used);
        }
        while let Some(used) = self.left.front() {
            if used.at + self.length + KEEP_EXPIRED > now {
                break;
            }
            self.left.pop_front();
        }
    }
}

/// The whole permits in `share` of `quota`, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there is no other way from a float to an integer; the value is between 0 and quota"
)]
fn part(quota: u32, share: f64) -> u32 {
    // 0.29 of 100 is 28.999999999999996 in binary.
    let part = f64::from(quota) * share.clamp(0.0, 1.0) + 1e-6;
    (part as u32).min(quota).max(1)
}

#[cfg(test)]
mod tests;
