use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::{ConnectionLimits, STALLED_AFTER};

/// Lets the server library respond at its own limit, before the socket closes.
const SLACK: Duration = Duration::from_secs(1);

/// In bytes. The server library's own limit is 128 KiB.
const HEAD_LIMIT: usize = 32 * 1024;
/// For authenticated callers: a batch of queries has a long URL.
const HEAD_LIMIT_OF_KNOWN: usize = 96 * 1024;

pub(in crate::api) struct ClientConnection {
    id: u64,
    address: IpAddr,
    limits: ConnectionLimits,
    /// A proxy's connection carries many callers' requests: a token authenticates only one request.
    is_shared: bool,
    state: Mutex<ConnectionState>,
}

struct ConnectionState {
    handling: u32,
    /// Of `handling`: those whose body is incomplete.
    arriving: u32,
    sending: u32,
    /// Endless responses.
    streaming: u32,
    since: Instant,
    /// Whether a part of the next request has arrived.
    received: bool,
    served: bool,
    unparsed: usize,
    /// The server library closes after the response, and drops further input.
    closing: bool,
    known: bool,
    ended: bool,
    waker: Option<Waker>,
}

impl ConnectionState {
    fn is_idle(&self) -> bool {
        self.handling + self.sending + self.streaming == 0
    }
}

impl ClientConnection {
    pub(super) fn new(id: u64, address: IpAddr, is_shared: bool, limits: ConnectionLimits) -> Self {
        Self {
            id,
            address,
            limits,
            is_shared,
            state: Mutex::new(ConnectionState {
                handling: 0,
                arriving: 0,
                sending: 0,
                streaming: 0,
                since: Instant::now(),
                received: false,
                served: false,
                unparsed: 0,
                closing: false,
                known: false,
                ended: false,
                waker: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock()
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(in crate::api) fn set_known(&self) {
        self.state().known = true;
    }

    pub(super) fn is_known(&self) -> bool {
        self.state().known
    }

    /// The rank among the connections to close for a new one, lowest first. `None` if this one must not be closed.
    pub(super) fn idle(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        let at_work = state.handling > state.arriving || state.streaming > 0;
        // A response to an authenticated caller is sent to its end.
        let at_work = at_work || (state.known && !state.is_idle());
        (!at_work).then_some((state.known, state.since))
    }

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

    /// False if the request head is too long.
    pub(super) fn received(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.unparsed = state.unparsed.saturating_add(bytes);
        if state.served && state.is_idle() && !state.received {
            state.received = true;
            state.since = Instant::now();
        }
        let limit = if state.known {
            HEAD_LIMIT_OF_KNOWN
        } else {
            HEAD_LIMIT
        };
        !state.is_idle() || state.closing || state.unparsed <= limit
    }

    /// Called when the server library takes a part of a body: the bytes read before are not a head.
    pub(super) fn parsed(&self) {
        self.state().unparsed = 0;
    }

    pub(super) fn set_closing(&self) {
        self.state().closing = true;
    }

    pub(super) fn wrote_bytes(&self) {
        let mut state = self.state();
        if state.sending > 0 {
            state.since = Instant::now();
        }
    }

    /// `waker` is woken when the connection is ended.
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
        let ConnectionLimits {
            request_timeout,
            keep_alive,
            ..
        } = self.limits;
        let limit = if state.sending > 0 {
            STALLED_AFTER
        } else if !state.served {
            // The TLS handshake, and the head.
            request_timeout * 2 + SLACK
        } else if state.received {
            request_timeout
        } else {
            keep_alive + SLACK
        };
        Some(state.since + limit)
    }

    pub(super) fn begin(self: &Arc<Self>) -> ActiveRequest {
        let mut state = self.state();
        state.handling += 1;
        state.served = true;
        state.received = false;
        state.unparsed = 0;
        state.closing = false;
        if self.is_shared {
            state.known = false;
        }
        drop(state);
        ActiveRequest {
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

pub(super) struct ActiveRequest {
    connection: Arc<ClientConnection>,
    stage: Stage,
}

impl ActiveRequest {
    pub(super) fn connection(&self) -> &Arc<ClientConnection> {
        &self.connection
    }

    pub(super) fn enter(&mut self, stage: Stage) {
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

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        count(&mut state, self.stage, false);
        if state.is_idle() {
            state.since = Instant::now();
            state.received = false;
            if self.connection.is_shared {
                state.known = false;
            }
        }
    }
}

fn count(state: &mut ConnectionState, stage: Stage, up: bool) {
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
