//! A request's body as it arrives: in time, and counted against what may be held of bodies.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::{Sleep, sleep};

use super::state::{Stage, Turn};
use super::{Connection, Connections};
use crate::api::BODY_LIMIT;

/// The first bytes of each body are read whatever else is being read: sign-ins and vendors' notifications are no longer.
const ALWAYS_READ: usize = 8 * 1024;

/// A request's body. Its clones share it: the handler reads one, and another keeps the rest until the answer is sent. While
/// something of the body is kept that has not come, the server library closes the connection behind the answer, and says so in
/// the answer; it drains a chunked body that nobody keeps without a limit of time.
#[derive(Clone)]
pub(super) struct Arriving(Rc<RefCell<Body>>);

struct Body {
    payload: Payload,
    turn: Rc<RefCell<Turn>>,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The address whose share this body counts against. `None`: a trusted proxy that does not name its caller.
    caller: Option<IpAddr>,
    /// Bytes that have come.
    read: usize,
    /// Bytes that were counted: without a valid token, and with one.
    counted: [usize; 2],
    is_whole: bool,
}

impl Arriving {
    pub(super) fn new(
        payload: Payload,
        turn: Rc<RefCell<Turn>>,
        connections: &Arc<Connections>,
        caller: Option<IpAddr>,
    ) -> Self {
        let connection = Arc::clone(turn.borrow().connection());
        Self(Rc::new(RefCell::new(Body {
            payload,
            turn,
            connections: Arc::clone(connections),
            connection,
            timer: None,
            caller,
            read: 0,
            counted: [0; 2],
            is_whole: false,
        })))
    }

    /// Reads and drops what has come already. Whether that was all of it.
    pub(super) async fn is_here(&mut self) -> bool {
        let mut dropped = 0;
        // The library hands over the rest of what it has read between two turns.
        for _ in 0..2 {
            while !self.0.borrow().is_whole && dropped <= BODY_LIMIT {
                match self.next().now_or_never() {
                    Some(Some(Ok(chunk))) => dropped += chunk.len(),
                    Some(Some(Err(_)) | None) | None => break,
                }
            }
            if self.0.borrow().is_whole {
                return true;
            }
            tokio::task::yield_now().await;
        }
        self.0.borrow().is_whole
    }
}

impl Stream for Arriving {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next(cx)
    }
}

impl Body {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let next = Pin::new(&mut self.payload).poll_next(cx);
        match &next {
            Poll::Ready(Some(Ok(chunk))) => return Poll::Ready(Some(self.count(chunk.clone()))),
            Poll::Ready(Some(Err(_)) | None) => {
                self.is_whole = true;
                self.connection.parsed();
                self.turn.borrow_mut().enters(Stage::Handling);
            }
            Poll::Pending => {
                self.turn.borrow_mut().enters(Stage::Arriving);
                let limit = self.connections.allowed.request_timeout;
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
                if timer.as_mut().poll(cx).is_ready() {
                    let late = io::ErrorKind::TimedOut.into();
                    return Poll::Ready(Some(Err(PayloadError::Io(late))));
                }
            }
        }
        next
    }

    fn count(&mut self, chunk: Bytes) -> Result<Bytes, PayloadError> {
        self.connection.parsed();
        let uncounted = ALWAYS_READ.saturating_sub(self.read);
        self.read += chunk.len();
        let counted = chunk.len().saturating_sub(uncounted);
        if counted == 0 {
            return Ok(chunk);
        }
        let known = self.connection.is_known();
        let [unknown_bytes, known_bytes] = &mut self.counted;
        *(if known { known_bytes } else { unknown_bytes }) += counted;
        let bodies = &self.connections.bodies;
        let is_taken = if known {
            bodies.take_known(counted)
        } else {
            bodies.take_unknown(self.caller, counted)
        };
        if is_taken {
            return Ok(chunk);
        }
        Err(PayloadError::Io(io::ErrorKind::QuotaExceeded.into()))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let [unknown, known] = self.counted;
        let bodies = &self.connections.bodies;
        bodies.give_back(self.caller, unknown, known);
    }
}
