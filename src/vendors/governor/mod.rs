//! Governors: permits to call a vendor within its quota.
//!
//! A fifth of each budget is reserved for [`Priority::Stop`], except of hosts that are only polled; priorities share
//! the rest by weight (`queue.rs`). A request that cannot be served in time is denied at once.

mod limiter;
mod queue;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use limiter::{Admission, Limiter};
use queue::WaiterId;
use window::SlidingWindow;

use crate::telemetry::metrics;

pub use window::QuotaReport;

/// What a call is for. Decides who is served when permits are scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// Takes down what costs money.
    Stop,
    /// Puts a channel on air.
    Start,
    /// Checks after a crash, and polls.
    Recover,
    /// Follows a relay's end: disables and deletes objects, reads recordings.
    Finalize,
    /// Runs cleanup jobs and removes orphans.
    Janitor,
}

/// A request for a permit.
#[derive(Debug, Clone, Copy)]
pub struct PermitRequest {
    /// What the call is for.
    pub priority: Priority,
    /// The deadline of the permit.
    pub until: Instant,
}

impl PermitRequest {
    /// A request that waits for at most `patience`.
    #[must_use]
    pub fn within(priority: Priority, patience: Duration) -> Self {
        Self {
            priority,
            until: Instant::now() + patience,
        }
    }
}

/// No permit is available in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The wait until a permit may be available.
    pub retry_after: Duration,
}

/// The state of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSnapshot {
    /// The budget's name.
    pub name: &'static str,
    /// The most calls of this process in a window.
    pub quota: u32,
    /// The calls of all users that count now.
    pub used: u32,
    /// The calls that may be made now; 0 during a pause.
    pub left: u32,
    /// The number of waiting requests.
    pub waiting: usize,
    /// How much longer the vendor's pause lasts.
    pub paused_for: Option<Duration>,
}

/// Grants permits. Clones share one budget.
#[derive(Debug, Clone)]
pub struct Governor {
    name: &'static str,
    state: Arc<Mutex<GovernorState>>,
}

#[derive(Debug)]
struct GovernorState {
    limiter: Limiter,
    waiters: HashMap<WaiterId, Arc<Notify>>,
    /// The waiters at the head of their class, which watch the clock.
    heads: Vec<WaiterId>,
    closed: bool,
}

impl Governor {
    /// Grants `permits` permits per second.
    #[must_use]
    pub fn per_second(name: &'static str, permits: u32) -> Self {
        let window = SlidingWindow::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window)
    }

    /// Like [`Self::per_second`], without a reserve for stops.
    #[must_use]
    pub fn polls_per_second(name: &'static str, permits: u32) -> Self {
        let window = SlidingWindow::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window.without_reserve())
    }

    /// Grants `fraction` (above 0, at most 1) of `quota` per `window`. Earlier use is unknown, so the first call goes
    /// alone: its answer's [`QuotaReport`] shows what is left.
    #[must_use]
    pub fn sliding_window(name: &'static str, quota: u32, window: Duration, fraction: f64) -> Self {
        Self::new(name, SlidingWindow::new(quota, window, fraction, false))
    }

    fn new(name: &'static str, window: SlidingWindow) -> Self {
        Self {
            name,
            state: Arc::new(Mutex::new(GovernorState {
                limiter: Limiter::new(window),
                waiters: HashMap::new(),
                heads: Vec::new(),
                closed: false,
            })),
        }
    }

    /// Waits for several permits, granted together.
    pub async fn permits(&self, request: PermitRequest, permits: u32) -> Result<Permit, Denied> {
        self.take(request, permits).await
    }

    /// Waits for one permit.
    pub async fn permit(&self, request: PermitRequest) -> Result<Permit, Denied> {
        self.take(request, 1).await
    }

    /// Grants nothing for `pause`, at most 5 minutes.
    pub fn pause(&self, pause: Duration) {
        self.lock().limiter.pause(Instant::now(), pause);
    }

    /// Calls already made count against the share.
    pub(crate) fn set_share(&self, permits: u32) {
        let mut state = self.lock();
        state.limiter.set_own(permits);
        state.dispatch(Instant::now(), true);
    }

    /// Calls per second of all processes, in the long run.
    pub(crate) fn rate(&self) -> f64 {
        self.lock().limiter.rate()
    }

    pub(crate) fn allowed(&self) -> u32 {
        self.lock().limiter.allowed()
    }

    pub(crate) fn close(&self) {
        self.set_closed(true);
    }

    pub(crate) fn open(&self) {
        self.set_closed(false);
    }

    fn set_closed(&self, closed: bool) {
        let mut state = self.lock();
        state.closed = closed;
        for wake in state.waiters.values() {
            wake.notify_one();
        }
    }

    pub(crate) fn used_by_us(&self) -> u32 {
        self.lock().limiter.used_by_us(Instant::now())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The state of the budget.
    #[must_use]
    pub fn snapshot(&self) -> BudgetSnapshot {
        let mut state = self.lock();
        let (quota, used, left, paused_for) = state.limiter.usage(Instant::now());
        BudgetSnapshot {
            name: self.name,
            quota,
            used,
            left: match paused_for {
                Some(_) => 0,
                None => left,
            },
            waiting: state.limiter.waiting(),
            paused_for,
        }
    }

    async fn take(&self, request: PermitRequest, permits: u32) -> Result<Permit, Denied> {
        let asked = Instant::now();
        let taken = self.wait(request, permits).await;
        let priority = request.priority.to_string();
        match &taken {
            Ok(_) => {
                let seconds = asked.elapsed().as_secs_f64();
                metrics::GOVERNOR_WAIT.observe(seconds, [self.name, &priority]);
            }
            Err(_) => metrics::GOVERNOR_DENIED.add(1, [self.name, &priority]),
        }
        taken
    }

    async fn wait(&self, request: PermitRequest, permits: u32) -> Result<Permit, Denied> {
        let Some(pending) = self.enqueue(request, permits)? else {
            return Ok(self.issue(request.priority, permits));
        };
        loop {
            let Some(wake_at) = pending.poll()? else {
                return Ok(self.issue(request.priority, permits));
            };
            tokio::select! {
                () = pending.wake.notified() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    /// Queues a request; `None` if its permits are granted at once.
    fn enqueue(
        &self,
        request: PermitRequest,
        permits: u32,
    ) -> Result<Option<PendingPermit>, Denied> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.closed {
            return Err(state.limiter.refusal(request.priority, permits, now));
        }
        // Serves and wakes earlier waiters first: `request` would serve them without waking them.
        state.dispatch(now, false);
        let asked = state.limiter.request(request, permits, now);
        state.dispatch(now, false);
        let Admission::Waiting(id) = asked? else {
            return Ok(None);
        };
        let wake = Arc::new(Notify::new());
        state.waiters.insert(id, Arc::clone(&wake));
        drop(state);
        Ok(Some(PendingPermit {
            governor: self.clone(),
            request,
            permits,
            id,
            wake,
        }))
    }

    fn issue(&self, priority: Priority, permits: u32) -> Permit {
        Permit {
            governor: self.clone(),
            priority,
            permits,
            sent: Instant::now(),
            answered: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, GovernorState> {
        self.state.lock()
    }
}

impl GovernorState {
    /// Serves and wakes waiters, and wakes the new heads, or all heads if `wake_heads`.
    fn dispatch(&mut self, now: Instant, wake_heads: bool) {
        for id in self.limiter.serve(now) {
            self.notify(id);
        }
        let heads: Vec<WaiterId> = self.limiter.heads().collect();
        for id in &heads {
            if wake_heads || !self.heads.contains(id) {
                self.notify(*id);
            }
        }
        self.heads = heads;
    }

    fn notify(&self, id: WaiterId) {
        if let Some(wake) = self.waiters.get(&id) {
            wake.notify_one();
        }
    }
}

/// A queued request. Dropping it removes it from the queue and returns its permits.
#[derive(Debug)]
struct PendingPermit {
    governor: Governor,
    request: PermitRequest,
    permits: u32,
    id: WaiterId,
    wake: Arc<Notify>,
}

impl PendingPermit {
    /// `None` once the permits are granted, else when to poll again.
    fn poll(&self) -> Result<Option<Instant>, Denied> {
        let now = Instant::now();
        let mut state = self.governor.lock();
        state.dispatch(now, false);
        if state.limiter.collect(self.id).is_some() {
            return Ok(None);
        }
        if now >= self.request.until || state.closed {
            return Err(state
                .limiter
                .refusal(self.request.priority, self.permits, now));
        }
        let watches = state.heads.contains(&self.id);
        let wake_at = watches.then(|| state.limiter.wake_at(now)).flatten();
        Ok(Some(wake_at.map_or(self.request.until, |at| {
            at.min(self.request.until)
        })))
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.governor.lock();
        state.waiters.remove(&self.id);
        state.limiter.withdraw(self.request.priority, self.id);
        state.dispatch(now, true);
    }
}

/// Granted permits. They count until a window after the answer; dropping a permit counts as an answer.
#[derive(Debug)]
pub struct Permit {
    governor: Governor,
    priority: Priority,
    permits: u32,
    sent: Instant,
    answered: bool,
}

impl Permit {
    pub(crate) fn split(&mut self) -> Self {
        let one = self.permits.min(1);
        self.permits -= one;
        Self {
            permits: one,
            governor: self.governor.clone(),
            ..*self
        }
    }

    /// Records an answer of any status, and what it says about the quota.
    pub fn answered(mut self, report: Option<QuotaReport>) {
        self.answered = true;
        let now = Instant::now();
        let mut state = self.governor.lock();
        let more = state
            .limiter
            .answered(self.priority, self.permits, self.sent, now, report);
        state.dispatch(now, more);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let now = Instant::now();
        let mut state = self.governor.lock();
        state.limiter.lost(self.priority, self.permits, now);
        state.dispatch(now, true);
    }
}

#[cfg(test)]
mod tests;
