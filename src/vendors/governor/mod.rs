//! Permits to call a vendor, within its quota.
//!
//! [`Governor::sliding_window`] is Cloudflare's: an exact window of whose earlier use a new process knows nothing.
//! [`Governor::per_second`] is everybody else's. Both share one queue: a fifth of the budget is kept for
//! [`Priority::Stop`] (but of a host that is only looked at), the rest goes by weight (stop 8, start 4, recover 2, finalize 2, janitor 1; one more for each
//! minute waited, up to 4), and a caller who cannot be served in time is told so at once.

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
    /// After a relay's end: disabling behind a stopped egress, recordings, deleting.
    Finalize,
    /// Cleanup jobs and orphans.
    Janitor,
}

/// Who asks for a permit, and how long it can wait for one.
#[derive(Debug, Clone, Copy)]
pub struct PermitRequest {
    /// What the call is for.
    pub priority: Priority,
    /// When a permit is of no use any more.
    pub until: Instant,
}

impl PermitRequest {
    /// A caller that waits for its permit no longer than `patience` from now.
    #[must_use]
    pub fn within(priority: Priority, patience: Duration) -> Self {
        Self {
            priority,
            until: Instant::now() + patience,
        }
    }
}

/// No permit in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// When one may be had.
    pub retry_after: Duration,
}

/// What an operator wants to know of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSnapshot {
    /// Whose budget it is.
    pub name: &'static str,
    /// The most calls this process makes in any window.
    pub quota: u32,
    /// Those that count now: ours, under way or in the window, and what the vendor says others have used.
    pub used: u32,
    /// The calls that may be made at once; 0 while paused.
    pub left: u32,
    /// Callers who wait.
    pub waiting: usize,
    /// How much longer nobody may call, after the vendor said so.
    pub paused_for: Option<Duration>,
}

/// Gives out permits. Clones share one budget.
#[derive(Debug, Clone)]
pub struct Governor {
    name: &'static str,
    state: Arc<Mutex<GovernorState>>,
}

/// The book, and how to reach those who wait.
#[derive(Debug)]
struct GovernorState {
    limiter: Limiter,
    waiters: HashMap<WaiterId, Arc<Notify>>,
    /// The heads that were told to watch the clock.
    heads: Vec<WaiterId>,
    /// Whether nobody gets a permit.
    closed: bool,
}

impl Governor {
    /// Gives `permits` permits in every second.
    #[must_use]
    pub fn per_second(name: &'static str, permits: u32) -> Self {
        let window = SlidingWindow::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window)
    }

    /// The same for calls that only look: nothing is kept for stops, as there are none.
    #[must_use]
    pub fn polls_per_second(name: &'static str, permits: u32) -> Self {
        let window = SlidingWindow::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window.without_stops())
    }

    /// `share` (above 0, at most 1) of a vendor's `quota` in every `window`. What was used before is not known: one
    /// call goes alone, and its answer's [`QuotaReport`] tells. Take permits with [`Governor::permit`].
    #[must_use]
    pub fn sliding_window(name: &'static str, quota: u32, window: Duration, share: f64) -> Self {
        Self::new(name, SlidingWindow::new(quota, window, share, false))
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

    /// Waits for `permits` permits, given together.
    ///
    /// # Errors
    /// [`Denied`] when they cannot be had before `caller.until`.
    pub async fn permits(&self, request: PermitRequest, permits: u32) -> Result<Permit, Denied> {
        self.take(request, permits).await
    }

    /// Waits for a permit for one call, to be told what came of it.
    ///
    /// # Errors
    /// [`Denied`] when there will be none before `caller.until`.
    pub async fn permit(&self, request: PermitRequest) -> Result<Permit, Denied> {
        self.take(request, 1).await
    }

    /// Gives no permit for as long as the vendor asks, 5 minutes at most.
    pub fn pause(&self, pause: Duration) {
        self.lock().limiter.pause(Instant::now(), pause);
    }

    /// This process may use no more than so many in any window, of a quota it shares with others of ours. What it has used
    /// already counts, so that it may have to wait until that has left the window.
    pub(crate) fn set_share(&self, permits: u32) {
        let mut state = self.lock();
        state.limiter.set_own(permits);
        state.dispatch(Instant::now(), true);
    }

    /// The most calls a second of all processes, in the long run.
    pub(crate) fn rate(&self) -> f64 {
        self.lock().limiter.rate()
    }

    /// The most calls of all processes in any window.
    pub(crate) fn allowed(&self) -> u32 {
        self.lock().limiter.allowed()
    }

    /// Nobody gets a permit any more, and whoever waits for one is told so.
    pub(crate) fn close(&self) {
        self.set_closed(true);
    }

    /// Permits go out again.
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

    /// What this process has used, of what now counts.
    pub(crate) fn used_by_us(&self) -> u32 {
        self.lock().limiter.used_by_us(Instant::now())
    }

    /// What it is called.
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

    /// Asks; `None` when the permits are out already.
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
        // Whoever can be served is served here, where it is called as well: left to the asking below, all but those who watch
        // the clock would find out when their time is up.
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
        // The book is whole between any two statements that can panic.
        self.state.lock()
    }
}

impl GovernorState {
    /// Serves whoever can be served, and calls those who should look: the served, new heads, and all heads if `stir`.
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

/// A place in the queue. Dropped, it is given up, with what it was given.
#[derive(Debug)]
struct PendingPermit {
    governor: Governor,
    request: PermitRequest,
    permits: u32,
    id: WaiterId,
    wake: Arc<Notify>,
}

impl PendingPermit {
    /// `None` when the permits are here, else when to look again. Only the first of each queue watches the clock.
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

/// Permits that are out. A call counts until a whole window after its answer, as the vendor counted it at some moment
/// between. A permit that is dropped before an answer counts as if the answer came then.
#[derive(Debug)]
pub struct Permit {
    governor: Governor,
    priority: Priority,
    permits: u32,
    sent: Instant,
    answered: bool,
}

impl Permit {
    /// Takes one permit out of several, for another call.
    pub(crate) fn split(&mut self) -> Self {
        let one = self.permits.min(1);
        self.permits -= one;
        Self {
            permits: one,
            governor: self.governor.clone(),
            ..*self
        }
    }

    /// The call was answered, whatever its status; `seen` is what the answer says of the quota, if it does.
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
