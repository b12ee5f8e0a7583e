//! What a connection does at the moment, and until when it may.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::{Allowed, STALLED_AFTER};

/// The library's own timers answer before they close: they get this much longer.
const SLACK: Duration = Duration::from_secs(1);

/// The longest head of a request, in bytes: the server library by itself keeps 128 KiB of one that never ends.
const HEAD_LIMIT: usize = 32 * 1024;
/// The same on a connection that has shown a valid token: a batch of queries has a long URL.
const HEAD_LIMIT_OF_KNOWN: usize = 96 * 1024;

/// A connection, as its socket, its requests and the table see it.
pub(in crate::api) struct Connection {
    id: u64,
    address: IpAddr,
    allowed: Allowed,
    /// A proxy's connection carries requests of many callers: a token proves only the request that has it.
    is_shared: bool,
    state: Mutex<State>,
}

struct State {
    /// Requests whose handlers work.
    handling: u32,
    /// Requests among those whose body is being read.
    arriving: u32,
    /// Answers that are being sent.
    sending: u32,
    /// Answers that never end by themselves, such as the event stream.
    streaming: u32,
    /// When it became what it is now, or last advanced.
    since: Instant,
    /// Something of the next request has come.
    heard: bool,
    /// It has had a request.
    served: bool,
    /// Bytes read since the server library last took a request or a part of a body out of them.
    unparsed: usize,
    /// The connection closes behind its answer; what still comes is dropped.
    closing: bool,
    known: bool,
    ended: bool,
    waker: Option<Waker>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.handling + self.sending + self.streaming == 0
    }
}

impl Connection {
    pub(super) fn new(id: u64, address: IpAddr, is_shared: bool, allowed: Allowed) -> Self {
        Self {
            id,
            address,
            allowed,
            is_shared,
            state: Mutex::new(State {
                handling: 0,
                arriving: 0,
                sending: 0,
                streaming: 0,
                since: Instant::now(),
                heard: false,
                served: false,
                unparsed: 0,
                closing: false,
                known: false,
                ended: false,
                waker: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Its caller has shown a valid token.
    pub(in crate::api) fn is_of_a_known_caller(&self) {
        self.state().known = true;
    }

    pub(super) fn is_known(&self) -> bool {
        self.state().known
    }

    /// How it ranks among those that give way to a new one: the lowest first. `None`: a handler works for it, or an event stream
    /// runs.
    pub(super) fn idle(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        let at_work = state.handling > state.arriving || state.streaming > 0;
        // An answer to a known caller is sent to its end.
        let at_work = at_work || (state.known && !state.is_idle());
        (!at_work).then_some((state.known, state.since))
    }

    /// Ends it: its socket fails from now on.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Notes that bytes have come. False when a head is longer than its limit.
    pub(super) fn heard(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.unparsed = state.unparsed.saturating_add(bytes);
        if state.served && state.is_idle() && !state.heard {
            state.heard = true;
            state.since = Instant::now();
        }
        let limit = if state.known {
            HEAD_LIMIT_OF_KNOWN
        } else {
            HEAD_LIMIT
        };
        !state.is_idle() || state.closing || state.unparsed <= limit
    }

    /// The server library has handed over a part of a body: what it had read up to there is no head.
    pub(super) fn parsed(&self) {
        self.state().unparsed = 0;
    }

    /// The connection closes behind its answer.
    pub(super) fn closes(&self) {
        self.state().closing = true;
    }

    /// Bytes were taken.
    pub(super) fn advanced(&self) {
        let mut state = self.state();
        if state.sending > 0 {
            state.since = Instant::now();
        }
    }

    /// Until when it may stay as it is; `waker` hears of its end.
    pub(super) fn deadline(&self, waker: &Waker) -> Option<Instant> {
        let mut state = self.state();
        if state.ended {
            return Some(state.since);
        }
        if !state
            .waker
            .as_ref()
            .is_some_and(|kept| kept.will_wake(waker))
        {
            state.waker = Some(waker.clone());
        }
        if state.handling + state.streaming > 0 {
            return None;
        }
        let Allowed {
            request_timeout,
            keep_alive,
            ..
        } = self.allowed;
        let limit = if state.sending > 0 {
            STALLED_AFTER
        } else if !state.served {
            // A TLS handshake, and the head.
            request_timeout * 2 + SLACK
        } else if state.heard {
            request_timeout
        } else {
            keep_alive + SLACK
        };
        Some(state.since + limit)
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        let mut state = self.state();
        state.handling += 1;
        state.served = true;
        state.heard = false;
        state.unparsed = 0;
        state.closing = false;
        if self.is_shared {
            state.known = false;
        }
        drop(state);
        Turn {
            connection: Arc::clone(self),
            stage: Stage::Handling,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Handling,
    Arriving,
    Sending,
    Streaming,
}

/// A request on a connection, until its answer is sent.
pub(super) struct Turn {
    connection: Arc<Connection>,
    stage: Stage,
}

impl Turn {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn enters(&mut self, stage: Stage) {
        if self.stage == stage {
            return;
        }
        let mut state = self.connection.state();
        count(&mut state, self.stage, false);
        count(&mut state, stage, true);
        state.since = Instant::now();
        self.stage = stage;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        count(&mut state, self.stage, false);
        if state.is_idle() {
            state.since = Instant::now();
            state.heard = false;
            if self.connection.is_shared {
                state.known = false;
            }
        }
    }
}

fn count(state: &mut State, stage: Stage, up: bool) {
    let add = |counter: &mut u32| *counter = if up { *counter + 1 } else { *counter - 1 };
    match stage {
        Stage::Handling => add(&mut state.handling),
        Stage::Arriving => {
            add(&mut state.handling);
            add(&mut state.arriving);
        }
        Stage::Sending => add(&mut state.sending),
        Stage::Streaming => add(&mut state.streaming),
    }
}
