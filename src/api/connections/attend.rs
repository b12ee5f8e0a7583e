//! Each request between its arrival and the end of its answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage as _};

use super::Connection;
use super::arriving::Arriving;
use super::state::{Stage, Turn};
use crate::api::Api;
use crate::api::problem::Problem;

/// The most of an answer that is handed to the connection at once: what does not read it makes nobody hold more.
const PIECE: usize = 16 * 1024;

/// Keeps the account of a connection's requests, limits their bodies in time, and sends answers piece by piece.
pub(in crate::api) async fn attend(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Sent>, Error> {
    let connection = request.conn_data::<Arc<Connection>>().cloned();
    let api = request.app_data::<Data<Api>>().cloned();
    let Some((connection, api)) = connection.zip(api) else {
        return Err(Problem::internal().into());
    };
    let turn = Rc::new(RefCell::new(connection.begin()));
    let payload = request.take_payload();
    let has_body = !matches!(payload, Payload::None);
    let mut body = has_body.then(|| {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let caller = api.proxies.caller(peer, request.headers());
        Arriving::new(payload, turn.clone(), &api.connections, caller)
    });
    if let Some(body) = &body {
        request.set_payload(Payload::Stream {
            payload: Box::pin(body.clone()),
        });
    }
    let answer = next.call(request).await;
    if let Some(arriving) = &mut body
        && arriving.is_here().await
    {
        body = None;
    }
    match answer {
        Ok(answer) => Ok(answer.map_body(|_, answer| Sent::new(answer.boxed(), turn, body))),
        Err(error) => {
            let answer = error.error_response();
            let answer = answer.map_body(|_, answer| Sent::new(answer, turn, body).boxed());
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// The body of an answer while it is sent.
pub(in crate::api) struct Sent {
    body: BoxBody,
    /// What the body has given and the connection has not taken.
    rest: Bytes,
    _turn: Rc<RefCell<Turn>>,
    /// What the request has not sent: see [`Arriving`].
    _unread: Option<Arriving>,
}

impl Sent {
    fn new(body: BoxBody, turn: Rc<RefCell<Turn>>, unread: Option<Arriving>) -> Self {
        let stage = match body.size() {
            BodySize::Stream => Stage::Streaming,
            BodySize::None | BodySize::Sized(_) => Stage::Sending,
        };
        turn.borrow_mut().enters(stage);
        if unread.is_some() {
            turn.borrow().connection().closes();
        }
        Self {
            body,
            rest: Bytes::new(),
            _turn: turn,
            _unread: unread,
        }
    }
}

impl MessageBody for Sent {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(chunk)) => self.rest = chunk,
                end => return Poll::Ready(end),
            }
        }
        let piece = PIECE.min(self.rest.len());
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
