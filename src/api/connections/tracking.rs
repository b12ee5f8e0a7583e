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

use super::ClientConnection;
use super::request_body::CountedBody;
use super::state::{ActiveRequest, Stage};
use crate::api::Api;
use crate::api::problem::Problem;

/// Bytes handed to the connection at once: a slow reader must not make the server buffer more.
const CHUNK: usize = 16 * 1024;

/// Records the connection's state, limits the time of the body, and sends the response in chunks.
pub(in crate::api) async fn track_request(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<TrackedBody>, Error> {
    let connection = request.conn_data::<Arc<ClientConnection>>().cloned();
    let api = request.app_data::<Data<Api>>().cloned();
    let Some((connection, api)) = connection.zip(api) else {
        return Err(Problem::internal().into());
    };
    let active = Rc::new(RefCell::new(connection.begin()));
    let payload = request.take_payload();
    let has_body = !matches!(payload, Payload::None);
    let mut body = has_body.then(|| {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let caller = api.proxies.caller(peer, request.headers());
        CountedBody::new(payload, active.clone(), &api.connections, caller)
    });
    if let Some(body) = &body {
        request.set_payload(Payload::Stream {
            payload: Box::pin(body.clone()),
        });
    }
    let answer = next.call(request).await;
    if let Some(arriving) = &mut body
        && arriving.drain().await
    {
        body = None;
    }
    match answer {
        Ok(answer) => {
            Ok(answer.map_body(|_, answer| TrackedBody::new(answer.boxed(), active, body)))
        }
        Err(error) => {
            let answer = error.error_response();
            let answer =
                answer.map_body(|_, answer| TrackedBody::new(answer, active, body).boxed());
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// A response body that ends the request when dropped.
pub(in crate::api) struct TrackedBody {
    body: BoxBody,
    rest: Bytes,
    _turn: Rc<RefCell<ActiveRequest>>,
    /// See [`CountedBody`].
    _unread: Option<CountedBody>,
}

impl TrackedBody {
    fn new(body: BoxBody, active: Rc<RefCell<ActiveRequest>>, unread: Option<CountedBody>) -> Self {
        let stage = match body.size() {
            BodySize::Stream => Stage::Streaming,
            BodySize::None | BodySize::Sized(_) => Stage::Sending,
        };
        active.borrow_mut().enter(stage);
        if unread.is_some() {
            active.borrow().connection().set_closing();
        }
        Self {
            body,
            rest: Bytes::new(),
            _turn: active,
            _unread: unread,
        }
    }
}

impl MessageBody for TrackedBody {
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
        let piece = CHUNK.min(self.rest.len());
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
