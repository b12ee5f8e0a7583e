//! An exact sliding window over a quota. Pure: `now` is an argument.
//!
//! A call counts from its permit until a full window after its answer. The vendor counts it somewhere between, so no
//! window at the vendor exceeds the limit. (A token bucket with a burst lets twice its quota through one window.)

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::vendors::http::MAX_WAIT;

/// Longer than a call may be in flight.
const KEEP_EXPIRED: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Calls that stop relays.
    Stop,
    /// All other calls of this process.
    Rest,
    /// Calls of other users of the quota, including our other processes.
    Others,
}

/// What an answer's `Ratelimit` and `Ratelimit-Policy` headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaReport {
    /// The requests left (`r`).
    pub remaining: u32,
    /// The quota that `remaining` belongs to (`q`), if given.
    pub quota: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: Instant,
    pool: Pool,
    count: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    stop: u32,
    rest: u32,
    others: u32,
}

impl Tally {
    fn add(&mut self, pool: Pool, count: u32) {
        let count_of = self.count_mut(pool);
        *count_of = count_of.saturating_add(count);
    }

    fn take(&mut self, pool: Pool, count: u32) {
        let count_of = self.count_mut(pool);
        *count_of = count_of.saturating_sub(count);
    }

    fn count_mut(&mut self, pool: Pool) -> &mut u32 {
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

#[derive(Debug)]
pub(super) struct SlidingWindow {
    length: Duration,
    quota: u32,
    fraction: f64,
    allowed: u32,
    reserves: bool,
    /// The most uses of this process in a window, if it shares the quota.
    own: Option<u32>,
    /// Whether the use by others and by earlier processes is known.
    known: bool,
    reports_quota: bool,
    /// Uses by the time they count from, oldest first.
    log: VecDeque<Use>,
    expired: VecDeque<Use>,
    logged: Tally,
    in_flight: Tally,
    paused_until: Option<Instant>,
}

impl SlidingWindow {
    /// `known`: no other process uses the quota.
    pub(super) fn new(quota: u32, length: Duration, fraction: f64, known: bool) -> Self {
        let allowed = part(quota, fraction);
        Self {
            length,
            quota,
            fraction,
            allowed,
            reserves: true,
            own: None,
            known,
            reports_quota: !known,
            log: VecDeque::new(),
            expired: VecDeque::new(),
            logged: Tally::default(),
            in_flight: Tally::default(),
            paused_until: None,
        }
    }

    pub(super) fn without_reserve(mut self) -> Self {
        self.reserves = false;
        self
    }

    pub(super) fn rate(&self) -> f64 {
        f64::from(self.allowed) / self.length.as_secs_f64()
    }

    pub(super) fn allowed(&self) -> u32 {
        self.allowed
    }

    /// This process's part of `allowed`.
    pub(super) fn share(&self) -> u32 {
        self.own.map_or(self.allowed, |own| own.min(self.allowed))
    }

    pub(super) fn used(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.logged.total().saturating_add(self.in_flight.total())
    }

    pub(super) fn left(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.free(Pool::Stop, self.counted())
    }

    pub(super) fn used_by_us(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.counted().own()
    }

    /// If the share grows, others may have used the difference: where the vendor reports what is left, one call goes
    /// alone to find out.
    pub(super) fn set_own(&mut self, own: u32) {
        let before = self.own.replace(own);
        if self.reports_quota && before.is_some_and(|before| own > before) {
            self.known = false;
        }
    }

    pub(super) fn paused_for(&self, now: Instant) -> Option<Duration> {
        self.paused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|pause| !pause.is_zero())
    }

    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(MAX_WAIT);
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    /// A request above the pool's capacity fits when the whole capacity is free; [`Self::done`] spreads it over the
    /// following windows.
    pub(super) fn fits(&mut self, pool: Pool, count: u32, now: Instant) -> bool {
        self.advance(now);
        if self.paused_for(now).is_some() || self.awaits_first_answer() {
            return false;
        }
        let capacity = self.capacity(pool);
        capacity > 0 && self.free(pool, self.counted()) >= count.min(capacity)
    }

    pub(super) fn fits_reserve(&mut self, count: u32, now: Instant) -> bool {
        self.advance(now);
        let reserved = self.reserved();
        let reserved = self
            .own
            .map_or(reserved, |own| reserved.min(self.reserved_of_share(own)));
        self.counted().stop.saturating_add(count) <= reserved
    }

    pub(super) fn take(&mut self, pool: Pool, count: u32) {
        self.in_flight.add(pool, count);
    }

    pub(super) fn give_back(&mut self, pool: Pool, count: u32) {
        self.in_flight.take(pool, count);
    }

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

    /// A report counts only if it leaves less than we know of. Returns whether more permits may be granted than before.
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
            self.allowed = part(quota.min(self.quota), self.fraction);
            let used_at_vendor = quota.saturating_sub(report.remaining);
            // The vendor's count may include uses that left our window since `sent`.
            let expired = self
                .expired
                .iter()
                .filter(|used| used.at + self.length > sent)
                .fold(0u32, |sum, used| sum.saturating_add(used.count));
            let known_use = self.counted().total().saturating_add(expired);
            if used_at_vendor > known_use {
                self.enter(Use {
                    at: now,
                    pool: Pool::Others,
                    count: used_at_vendor - known_use,
                });
            }
        }
        before.0 != self.known || before.1 < self.allowed
    }

    /// When `count` permits can be granted, without other requests. `None`: unknown until an answer arrives or a share
    /// is assigned.
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

    /// When `count` permits, at most the capacity, are free.
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

    pub(super) fn capacity(&self, pool: Pool) -> u32 {
        let nothing = Tally::default();
        self.free(pool, nothing)
    }

    /// What is left of the limit of all processes and of this process's share.
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

    fn reserved(&self) -> u32 {
        match self.reserves {
            true => self.allowed / 5,
            false => 0,
        }
    }

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

    /// Until the earlier use is known, calls go one at a time.
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
            self.expired.push_back(used);
        }
        while let Some(used) = self.expired.front() {
            if used.at + self.length + KEEP_EXPIRED > now {
                break;
            }
            self.expired.pop_front();
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there is no other way from a float to an integer; the value is between 0 and quota"
)]
fn part(quota: u32, fraction: f64) -> u32 {
    // 0.29 of 100 is 28.999999999999996 in binary.
    let part = f64::from(quota) * fraction.clamp(0.0, 1.0) + 1e-6;
    (part as u32).min(quota).max(1)
}

#[cfg(test)]
mod tests;
