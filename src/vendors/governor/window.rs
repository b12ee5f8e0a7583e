//! How much of a quota is used: an exact sliding window, without a clock of its own.
//!
//! A call counts from its permit until a whole window after it came home: the vendor counted it somewhere between, so
//! whatever the way took, no window of the vendor's holds more than we allow. (A token bucket with a burst lets twice
//! its quota through one window.)

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::vendors::http::LONGEST_WAIT;

/// How long a use is remembered after it left the window: longer than a call may be under way.
const POLL_BACK: Duration = Duration::from_secs(60);

/// On whose account a use goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purse {
    /// A fifth of the budget is kept for stops.
    Stop,
    /// Everything else of ours.
    Rest,
    /// What other users of the same quota did, other processes of ours included.
    Others,
}

/// What an answer's `Ratelimit` and `Ratelimit-Policy` headers say (`cloudflare-stream.md §1.4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How many requests the vendor says are left (`r`).
    pub remaining: u32,
    /// The quota the vendor says this is of (`q`), when it says so.
    pub quota: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: Instant,
    purse: Purse,
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
    fn add(&mut self, purse: Purse, count: u32) {
        let slot = self.slot(purse);
        *slot = slot.saturating_add(count);
    }

    fn take(&mut self, purse: Purse, count: u32) {
        let slot = self.slot(purse);
        *slot = slot.saturating_sub(count);
    }

    fn slot(&mut self, purse: Purse) -> &mut u32 {
        match purse {
            Purse::Stop => &mut self.stop,
            Purse::Rest => &mut self.rest,
            Purse::Others => &mut self.others,
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
pub(super) struct Window {
    length: Duration,
    /// The quota the settings name.
    quota: u32,
    share: f64,
    /// The most uses in any window.
    allowed: u32,
    /// Whether a fifth of it is kept for stops.
    keeps: bool,
    /// The most uses of this process in any window, where it is not alone.
    own: Option<u32>,
    /// Whether it is known what others, or an earlier process, have used.
    known: bool,
    /// Whether the vendor tells what is left, so that it can be asked.
    tells: bool,
    /// Uses by the time they count from, the oldest first.
    log: VecDeque<Use>,
    /// Uses that left the window a short while ago.
    left: VecDeque<Use>,
    /// The sum of `log`.
    logged: Tally,
    /// Permits out whose calls have not come home.
    flying: Tally,
    paused_until: Option<Instant>,
}

impl Window {
    /// `share` of `quota` in every `length`, a fifth of it kept for stops. With `known`, nobody else uses the quota.
    pub(super) fn new(quota: u32, length: Duration, share: f64, known: bool) -> Self {
        let allowed = part(quota, share);
        Self {
            length,
            quota,
            share,
            allowed,
            keeps: true,
            own: None,
            known,
            tells: !known,
            log: VecDeque::new(),
            left: VecDeque::new(),
            logged: Tally::default(),
            flying: Tally::default(),
            paused_until: None,
        }
    }

    /// Nothing is kept for stops: there are none.
    pub(super) fn without_stops(mut self) -> Self {
        self.keeps = false;
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
        self.logged.total().saturating_add(self.flying.total())
    }

    /// What this process may still use at once.
    pub(super) fn left(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.free(Purse::Stop, self.counting())
    }

    /// This process's part of them.
    pub(super) fn used_by_us(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.counting().own()
    }

    /// From now on this process may use so many in any window, however many are left to all. What it has used already
    /// counts. If that is more than before, others may have used the difference: where the vendor tells what is left, one call
    /// goes alone, and finds out.
    pub(super) fn set_own(&mut self, own: u32) {
        let before = self.own.replace(own);
        if self.tells && before.is_some_and(|before| own > before) {
            self.known = false;
        }
    }

    /// How long nobody gets a permit.
    pub(super) fn paused_for(&self, now: Instant) -> Option<Duration> {
        self.paused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|pause| !pause.is_zero())
    }

    /// Gives no permit for `pause`, or for [`LONGEST_WAIT`] if that is shorter.
    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(LONGEST_WAIT);
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    /// Whether `count` permits may go out now. More than the purse ever holds go when it is full, and are paid off in
    /// the windows that follow.
    pub(super) fn fits(&mut self, purse: Purse, count: u32, now: Instant) -> bool {
        self.advance(now);
        if self.paused_for(now).is_some() || self.waits_for_an_answer() {
            return false;
        }
        let capacity = self.capacity(purse);
        capacity > 0 && self.free(purse, self.counting()) >= count.min(capacity)
    }

    /// Whether `count` permits for stops are within the part kept for them.
    pub(super) fn is_kept_for(&mut self, count: u32, now: Instant) -> bool {
        self.advance(now);
        let kept = self.kept();
        let kept = self
            .own
            .map_or(kept, |own| kept.min(self.kept_of_share(own)));
        self.counting().stop.saturating_add(count) <= kept
    }

    /// Permits go out.
    pub(super) fn take(&mut self, purse: Purse, count: u32) {
        self.flying.add(purse, count);
    }

    /// Permits come back without a call.
    pub(super) fn give_back(&mut self, purse: Purse, count: u32) {
        self.flying.take(purse, count);
    }

    /// Calls have come home, or will not: they count from now.
    pub(super) fn done(&mut self, purse: Purse, count: u32, now: Instant) {
        self.advance(now);
        self.flying.take(purse, count);
        let capacity = self.capacity(purse).max(1);
        let (mut at, mut open) = (now, count);
        while open > 0 {
            let part = open.min(capacity);
            self.enter(Use {
                at,
                purse,
                count: part,
            });
            open -= part;
            at += self.length;
        }
    }

    /// A call sent at `sent` was answered, with or without word of what is left. The vendor's word counts when it is
    /// the lower one. Returns whether more may go out than before.
    pub(super) fn observe(&mut self, sent: Instant, now: Instant, seen: Option<Seen>) -> bool {
        self.advance(now);
        let before = (self.known, self.allowed);
        self.known = true;
        if let Some(seen) = seen {
            let quota = seen.quota.unwrap_or(self.quota);
            self.allowed = part(quota.min(self.quota), self.share);
            let theirs = quota.saturating_sub(seen.remaining);
            // The vendor counted between `sent` and now: what has left the window since is in its count as well.
            let gone = self
                .left
                .iter()
                .filter(|used| used.at + self.length > sent)
                .fold(0u32, |sum, used| sum.saturating_add(used.count));
            let ours = self.counting().total().saturating_add(gone);
            if theirs > ours {
                self.enter(Use {
                    at: now,
                    purse: Purse::Others,
                    count: theirs - ours,
                });
            }
        }
        before.0 != self.known || before.1 < self.allowed
    }

    /// The earliest time at which `count` permits can have gone out one after the other, when nobody else asks; later
    /// when calls under way come home late. `None`: that hangs on an answer that is still out, or on this process's being
    /// given a share.
    pub(super) fn earliest(&mut self, purse: Purse, count: u32, now: Instant) -> Option<Instant> {
        self.advance(now);
        let start = self.paused_until.map_or(now, |until| until.max(now));
        let capacity = self.capacity(purse);
        if self.waits_for_an_answer() || capacity == 0 {
            return None;
        }
        let rounds = count.saturating_sub(1) / capacity;
        let first = count.saturating_sub(1) % capacity + 1;
        Some(start.max(self.first_free(purse, first, now)) + self.length * rounds)
    }

    /// The first time at which `count` permits, at most the capacity, are free.
    fn first_free(&self, purse: Purse, count: u32, now: Instant) -> Instant {
        let mut counting = self.counting();
        if self.free(purse, counting) >= count {
            return now;
        }
        for used in &self.log {
            counting.take(used.purse, used.count);
            if self.free(purse, counting) >= count {
                return used.at + self.length;
            }
        }
        now + self.length
    }

    /// What a purse holds at most.
    pub(super) fn capacity(&self, purse: Purse) -> u32 {
        let nothing = Tally::default();
        self.free(purse, nothing)
    }

    /// How much is left of all that is allowed, and of this process's share of it.
    fn free(&self, purse: Purse, counting: Tally) -> u32 {
        let left = |most: u32, kept: u32| {
            let held = match purse {
                Purse::Stop => counting.stop,
                Purse::Rest | Purse::Others => counting.stop.max(kept),
            };
            most.saturating_sub(held.saturating_add(counting.rest))
        };
        let of_all = left(self.allowed, self.kept()).saturating_sub(counting.others);
        match self.own {
            Some(own) => of_all.min(left(own, self.kept_of_share(own))),
            None => of_all,
        }
    }

    /// The part of what all may use that only stops may use.
    fn kept(&self) -> u32 {
        match self.keeps {
            true => self.allowed / 5,
            false => 0,
        }
    }

    /// The same of a share: a fifth at least, if it can be divided at all.
    fn kept_of_share(&self, own: u32) -> u32 {
        match own {
            0 | 1 => 0,
            own if self.keeps => own.div_ceil(5),
            _ => 0,
        }
    }

    fn counting(&self) -> Tally {
        Tally {
            stop: self.logged.stop.saturating_add(self.flying.stop),
            rest: self.logged.rest.saturating_add(self.flying.rest),
            others: self.logged.others,
        }
    }

    /// Until it is known what was used before, one call goes alone.
    fn waits_for_an_answer(&self) -> bool {
        !self.known && self.flying.total() > 0
    }

    fn enter(&mut self, used: Use) {
        self.logged.add(used.purse, used.count);
        let place = self.log.partition_point(|other| other.at <= used.at);
        self.log.insert(place, used);
    }

    fn advance(&mut self, now: Instant) {
        while let Some(used) = self.log.pop_front() {
            if used.at + self.length > now {
                self.log.push_front(used);
                break;
            }
            self.logged.take(used.purse, used.count);
            self.left.push_back(used);
        }
        while let Some(used) = self.left.front() {
            if used.at + self.length + POLL_BACK > now {
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
