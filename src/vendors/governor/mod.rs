//! Permits to call a vendor, within its quota.
//!
//! [`Governor::sliding_window`] is Cloudflare's: an exact window of whose earlier use a new process knows nothing.
//! [`Governor::per_second`] is everybody else's. Both share one queue: a fifth of the budget is kept for
//! [`Priority::Stop`] (but of a host that is only looked at), the rest goes by weight (stop 8, start 4, recover 2, finalize 2, janitor 1; one more for each
//! minute waited, up to 4), and a caller who cannot be served in time is told so at once.

mod book;
mod queue;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use book::{Asked, Book};
use queue::Ticket;
use window::Window;

use crate::telemetry::metrics;

pub use window::Seen;

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
pub struct Caller {
    /// What the call is for.
    pub priority: Priority,
    /// When a permit is of no use any more.
    pub until: Instant,
}

impl Caller {
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
pub struct Snapshot {
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
    desk: Arc<Mutex<Desk>>,
}

/// The book, and how to reach those who wait.
#[derive(Debug)]
struct Desk {
    book: Book,
    waiting: HashMap<Ticket, Arc<Notify>>,
    /// The heads that were told to watch the clock.
    heads: Vec<Ticket>,
    /// Whether nobody gets a permit.
    closed: bool,
}

impl Governor {
    /// Gives `permits` permits in every second.
    #[must_use]
    pub fn per_second(name: &'static str, permits: u32) -> Self {
        let window = Window::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window)
    }

    /// The same for calls that only look: nothing is kept for stops, as there are none.
    #[must_use]
    pub fn polls_per_second(name: &'static str, permits: u32) -> Self {
        let window = Window::new(permits, Duration::from_secs(1), 1.0, true);
        Self::new(name, window.without_stops())
    }

    /// `share` (above 0, at most 1) of a vendor's `quota` in every `window`. What was used before is not known: one
    /// call goes alone, and its answer's [`Seen`] tells. Take permits with [`Governor::permit`].
    #[must_use]
    pub fn sliding_window(name: &'static str, quota: u32, window: Duration, share: f64) -> Self {
        Self::new(name, Window::new(quota, window, share, false))
    }

    fn new(name: &'static str, window: Window) -> Self {
        Self {
            name,
            desk: Arc::new(Mutex::new(Desk {
                book: Book::new(window),
                waiting: HashMap::new(),
                heads: Vec::new(),
                closed: false,
            })),
        }
    }

    /// Waits for `permits` permits, given together.
    ///
    /// # Errors
    /// [`Denied`] when they cannot be had before `caller.until`.
    pub async fn permits(&self, caller: Caller, permits: u32) -> Result<Permit, Denied> {
        self.take(caller, permits).await
    }

    /// Waits for a permit for one call, to be told what came of it.
    ///
    /// # Errors
    /// [`Denied`] when there will be none before `caller.until`.
    pub async fn permit(&self, caller: Caller) -> Result<Permit, Denied> {
        self.take(caller, 1).await
    }

    /// Gives no permit for as long as the vendor asks, 5 minutes at most.
    pub fn pause(&self, pause: Duration) {
        self.desk().book.pause(Instant::now(), pause);
    }

    /// This process may use no more than so many in any window, of a quota it shares with others of ours. What it has used
    /// already counts, so that it may have to wait until that has left the window.
    pub(crate) fn set_share(&self, permits: u32) {
        let mut desk = self.desk();
        desk.book.set_own(permits);
        desk.call(Instant::now(), true);
    }

    /// The most calls a second of all processes, in the long run.
    pub(crate) fn rate(&self) -> f64 {
        self.desk().book.rate()
    }

    /// The most calls of all processes in any window.
    pub(crate) fn allowed(&self) -> u32 {
        self.desk().book.allowed()
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
        let mut desk = self.desk();
        desk.closed = closed;
        for called in desk.waiting.values() {
            called.notify_one();
        }
    }

    /// What this process has used, of what now counts.
    pub(crate) fn used_by_us(&self) -> u32 {
        self.desk().book.used_by_us(Instant::now())
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The state of the budget.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut desk = self.desk();
        let (quota, used, left, paused_for) = desk.book.figures(Instant::now());
        Snapshot {
            name: self.name,
            quota,
            used,
            left: match paused_for {
                Some(_) => 0,
                None => left,
            },
            waiting: desk.book.waiting(),
            paused_for,
        }
    }

    async fn take(&self, caller: Caller, permits: u32) -> Result<Permit, Denied> {
        let asked = Instant::now();
        let taken = self.wait(caller, permits).await;
        let priority = caller.priority.to_string();
        match &taken {
            Ok(_) => {
                let seconds = asked.elapsed().as_secs_f64();
                metrics::GOVERNOR_WAIT.observe(seconds, [self.name, &priority]);
            }
            Err(_) => metrics::GOVERNOR_DENIED.add(1, [self.name, &priority]),
        }
        taken
    }

    async fn wait(&self, caller: Caller, permits: u32) -> Result<Permit, Denied> {
        let Some(place) = self.ask(caller, permits)? else {
            return Ok(self.issue(caller.priority, permits));
        };
        loop {
            let Some(wake_at) = place.poll()? else {
                return Ok(self.issue(caller.priority, permits));
            };
            tokio::select! {
                () = place.called.notified() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    /// Asks; `None` when the permits are out already.
    fn ask(&self, caller: Caller, permits: u32) -> Result<Option<Place>, Denied> {
        let now = Instant::now();
        let mut desk = self.desk();
        if desk.closed {
            return Err(desk.book.refusal(caller.priority, permits, now));
        }
        // Whoever can be served is served here, where it is called as well: left to the asking below, all but those who watch
        // the clock would find out when their time is up.
        desk.call(now, false);
        let asked = desk.book.ask(caller, permits, now);
        desk.call(now, false);
        let Asked::Waiting(ticket) = asked? else {
            return Ok(None);
        };
        let called = Arc::new(Notify::new());
        desk.waiting.insert(ticket, Arc::clone(&called));
        drop(desk);
        Ok(Some(Place {
            governor: self.clone(),
            caller,
            permits,
            ticket,
            called,
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

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // The book is whole between any two statements that can panic.
        self.desk.lock()
    }
}

impl Desk {
    /// Serves whoever can be served, and calls those who should look: the served, new heads, and all heads if `stir`.
    fn call(&mut self, now: Instant, stir: bool) {
        for ticket in self.book.serve(now) {
            self.notify(ticket);
        }
        let heads: Vec<Ticket> = self.book.heads().collect();
        for ticket in &heads {
            if stir || !self.heads.contains(ticket) {
                self.notify(*ticket);
            }
        }
        self.heads = heads;
    }

    fn notify(&self, ticket: Ticket) {
        if let Some(called) = self.waiting.get(&ticket) {
            called.notify_one();
        }
    }
}

/// A place in the queue. Dropped, it is given up, with what it was given.
#[derive(Debug)]
struct Place {
    governor: Governor,
    caller: Caller,
    permits: u32,
    ticket: Ticket,
    called: Arc<Notify>,
}

impl Place {
    /// `None` when the permits are here, else when to look again. Only the first of each queue watches the clock.
    fn poll(&self) -> Result<Option<Instant>, Denied> {
        let now = Instant::now();
        let mut desk = self.governor.desk();
        desk.call(now, false);
        if desk.book.collect(self.ticket).is_some() {
            return Ok(None);
        }
        if now >= self.caller.until || desk.closed {
            return Err(desk.book.refusal(self.caller.priority, self.permits, now));
        }
        let watches = desk.heads.contains(&self.ticket);
        let wake_at = watches.then(|| desk.book.wake_at(now)).flatten();
        Ok(Some(
            wake_at.map_or(self.caller.until, |at| at.min(self.caller.until)),
        ))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut desk = self.governor.desk();
        desk.waiting.remove(&self.ticket);
        desk.book.withdraw(self.caller.priority, self.ticket);
        desk.call(now, true);
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
    pub fn answered(mut self, seen: Option<Seen>) {
        self.answered = true;
        let now = Instant::now();
        let mut desk = self.governor.desk();
        let more = desk
            .book
            .answered(self.priority, self.permits, self.sent, now, seen);
        desk.call(now, more);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let now = Instant::now();
        let mut desk = self.governor.desk();
        desk.book.lost(self.priority, self.permits, now);
        desk.call(now, true);
    }
}

#[cfg(test)]
mod tests;
