//! The window and the queue of one quota. Pure: `now` is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{WaitQueue, Waiter, WaiterId};
use super::window::{Pool, QuotaReport, SlidingWindow};
use super::{Denied, PermitRequest, Priority};
use crate::vendors::http::MAX_WAIT;

/// The shortest wait that a denial names.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Limiter {
    window: SlidingWindow,
    queue: WaitQueue,
    last_id: WaiterId,
    /// Served waiters that have not collected their permits yet.
    granted: HashMap<WaiterId, Waiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Granted,
    Waiting(WaiterId),
}

impl Limiter {
    pub(super) fn new(window: SlidingWindow) -> Self {
        Self {
            window,
            queue: WaitQueue::default(),
            last_id: 0,
            granted: HashMap::new(),
        }
    }

    pub(super) fn request(
        &mut self,
        request: PermitRequest,
        permits: u32,
        now: Instant,
    ) -> Result<Admission, Denied> {
        self.last_id += 1;
        let id = self.last_id;
        let waiter = Waiter {
            id,
            priority: request.priority,
            permits,
            since: now,
        };
        self.queue.push(waiter);
        self.serve(now);
        if self.collect(id).is_some() {
            return Ok(Admission::Granted);
        }
        let earliest = self.earliest(waiter, now);
        if earliest > request.until || now >= request.until {
            self.queue.remove(request.priority, id);
            return Err(denied(earliest, now));
        }
        Ok(Admission::Waiting(id))
    }

    pub(super) fn serve(&mut self, now: Instant) -> Vec<WaiterId> {
        let mut served = Vec::new();
        while let Some((waiter, reserved)) = self.candidate(now) {
            let pool = pool(waiter.priority);
            if !self.window.fits(pool, waiter.permits, now) {
                break;
            }
            self.window.take(pool, waiter.permits);
            if reserved {
                self.queue.remove(waiter.priority, waiter.id);
            } else {
                self.queue.serve(waiter, now);
            }
            self.granted.insert(waiter.id, waiter);
            served.push(waiter.id);
        }
        served
    }

    pub(super) fn collect(&mut self, id: WaiterId) -> Option<Waiter> {
        self.granted.remove(&id)
    }

    pub(super) fn withdraw(&mut self, priority: Priority, id: WaiterId) {
        if let Some(waiter) = self.granted.remove(&id) {
            self.window.give_back(pool(waiter.priority), waiter.permits);
        } else {
            self.queue.remove(priority, id);
        }
    }

    pub(super) fn refusal(&mut self, priority: Priority, permits: u32, now: Instant) -> Denied {
        let earliest = self
            .window
            .earliest(pool(priority), permits, now)
            .unwrap_or(now);
        denied(earliest, now)
    }

    /// When permits can next be granted, if nothing else happens. `None`: the queue is empty, or an answer is
    /// awaited.
    pub(super) fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let (waiter, _) = self.candidate(now)?;
        let pool = pool(waiter.priority);
        let permits = waiter.permits.min(self.window.capacity(pool));
        self.window.earliest(pool, permits, now)
    }

    pub(super) fn answered(
        &mut self,
        priority: Priority,
        permits: u32,
        sent: Instant,
        now: Instant,
        report: Option<QuotaReport>,
    ) -> bool {
        self.window.done(pool(priority), permits, now);
        self.window.observe(sent, now, report)
    }

    /// A call without an answer may have arrived.
    pub(super) fn lost(&mut self, priority: Priority, permits: u32, now: Instant) {
        self.window.done(pool(priority), permits, now);
    }

    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        self.window.pause(now, pause);
    }

    pub(super) fn set_own(&mut self, own: u32) {
        self.window.set_own(own);
    }

    pub(super) fn rate(&self) -> f64 {
        self.window.rate()
    }

    pub(super) fn allowed(&self) -> u32 {
        self.window.allowed()
    }

    pub(super) fn used_by_us(&mut self, now: Instant) -> u32 {
        self.window.used_by_us(now)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = WaiterId> {
        self.queue.heads().into_iter().flatten()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// This process's share, the calls of all that count now, the permits left to this process, the rest of a pause.
    pub(super) fn usage(&mut self, now: Instant) -> (u32, u32, u32, Option<Duration>) {
        let used = self.window.used(now);
        let left = self.window.left(now);
        (self.window.share(), used, left, self.window.paused_for(now))
    }

    /// The next waiter, and whether it is a stop within the stops' reserve. Nothing overtakes the next waiter: a
    /// request for two permits could starve.
    fn candidate(&mut self, now: Instant) -> Option<(Waiter, bool)> {
        match self.queue.head(Priority::Stop) {
            Some(stop) if self.window.fits_reserve(stop.permits, now) => Some((stop, true)),
            Some(_) | None => self.queue.next().map(|waiter| (waiter, false)),
        }
    }

    /// When a waiter at the end of its class can be served.
    fn earliest(&mut self, waiter: Waiter, now: Instant) -> Instant {
        let pool = pool(waiter.priority);
        let own = waiter.permits.min(self.window.capacity(pool));
        let ahead = self
            .queue
            .permits(waiter.priority)
            .saturating_sub(u64::from(waiter.permits));
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.window
            .earliest(pool, ahead.saturating_add(own), now)
            .unwrap_or(now)
    }
}

fn denied(earliest: Instant, now: Instant) -> Denied {
    Denied {
        retry_after: earliest
            .saturating_duration_since(now)
            .clamp(SHORTEST, MAX_WAIT),
    }
}

fn pool(priority: Priority) -> Pool {
    match priority {
        Priority::Stop => Pool::Stop,
        Priority::Start | Priority::Recover | Priority::Finalize | Priority::Janitor => Pool::Rest,
    }
}

#[cfg(test)]
mod tests;
