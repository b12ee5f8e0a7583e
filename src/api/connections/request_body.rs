//! A request body with a time limit and a quota.

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

use super::state::{ActiveRequest, Stage};
use super::{ClientConnection, Connections};
use crate::api::BODY_LIMIT;

/// Bytes of each body that do not count: enough for sign-ins and vendors' notifications.
const ALWAYS_READ: usize = 8 * 1024;

/// The handler reads one clone, [`track_request`](super::track_request) keeps another until the response is sent. If a
/// clone still has unread data then, the server library announces that it closes the connection. Without the clone it
/// would drain a chunked body without a time limit.
#[derive(Clone)]
pub(super) struct CountedBody(Rc<RefCell<BodyState>>);

struct BodyState {
    payload: Payload,
    active: Rc<RefCell<ActiveRequest>>,
    connections: Arc<Connections>,
    connection: Arc<ClientConnection>,
    timer: Option<Pin<Box<Sleep>>>,
    /// `None`: a trusted proxy that names no client.
    caller: Option<IpAddr>,
    read: usize,
    /// Bytes that arrived before and after authentication.
    counted: [usize; 2],
    is_whole: bool,
}

impl CountedBody {
    pub(super) fn new(
        payload: Payload,
        active: Rc<RefCell<ActiveRequest>>,
        connections: &Arc<Connections>,
        caller: Option<IpAddr>,
    ) -> Self {
        let connection = Arc::clone(active.borrow().connection());
        Self(Rc::new(RefCell::new(BodyState {
            payload,
            active,
            connections: Arc::clone(connections),
            connection,
            timer: None,
            caller,
            read: 0,
            counted: [0; 2],
            is_whole: false,
        })))
    }

    /// Drops what has arrived. Returns whether the body is complete.
    pub(super) async fn drain(&mut self) -> bool {
        let mut dropped = 0;
        // The library hands over buffered data in two turns.
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

impl Stream for CountedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next(cx)
    }
}

impl BodyState {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let next = Pin::new(&mut self.payload).poll_next(cx);
        match &next {
            Poll::Ready(Some(Ok(chunk))) => return Poll::Ready(Some(self.count(chunk.clone()))),
            Poll::Ready(Some(Err(_)) | None) => {
                self.is_whole = true;
                self.connection.parsed();
                self.active.borrow_mut().enter(Stage::Handling);
            }
            Poll::Pending => {
                self.active.borrow_mut().enter(Stage::Arriving);
                let limit = self.connections.limits.request_timeout;
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
        let body_quota = &self.connections.body_quota;
        let is_taken = if known {
            body_quota.take_known(counted)
        } else {
            body_quota.take_unknown(self.caller, counted)
        };
        if is_taken {
            return Ok(chunk);
        }
        Err(PayloadError::Io(io::ErrorKind::QuotaExceeded.into()))
    }
}

impl Drop for BodyState {
    fn drop(&mut self) {
        let [unknown, known] = self.counted;
        let body_quota = &self.connections.body_quota;
        body_quota.give_back(self.caller, unknown, known);
    }
}
