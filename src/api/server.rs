//! The HTTP/1 server.

use std::convert::Infallible;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_tls::accept::TlsError;
use actix_tls::accept::max_concurrent_tls_connect;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::AppConfig;
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing_actix_web::TracingLogger;

use super::connections::{Connections, GuardedSocket, track_request};
use super::request_span::RequestSpan;
use super::{Api, KEEP_ALIVE, coding, configure, cors, limit, response};

/// After a response to an incomplete request the connection is still read: a TCP reset would destroy the response.
const LINGER: Duration = Duration::from_secs(1);
/// Once this many bytes wait for a peer, no more of the response is produced: see [`track_request`].
const WRITE_BUFFER: usize = 16 * 1024;
/// Connections accepted above the limit, to replace idle ones.
const OVER_LIMIT: usize = 32;

type Socket = GuardedSocket<TcpStream>;

/// Builds the server; await it to run it. It handles no signals: the caller calls [`Api::drain`] and stops it through its
/// handle. Requests in flight then have `shutdown_grace` to finish.
pub fn server(
    listener: TcpListener,
    api: Arc<Api>,
    shutdown_grace: Duration,
    workers: usize,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Server> {
    let grace = shutdown_grace.as_millis().div_ceil(1000);
    let connections = api.connections.clone();
    let limits = connections.limits();
    let per_worker = limits.total.saturating_add(OVER_LIMIT).div_ceil(workers);
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(per_worker)
        .shutdown_timeout(u64::try_from(grace).unwrap_or(u64::MAX))
        .disable_signals();
    let going_down = builder.graceful_shutdown_signal();
    let builder = match tls {
        None => builder.listen("http", listener, move || {
            guard(&connections)
                .map(|socket: Socket| {
                    let peer = socket.peer();
                    (socket, Protocol::Http1, Some(peer))
                })
                .and_then(http(&api, &going_down, false, |socket: &Socket| socket))
        })?,
        Some(mut tls) => {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            max_concurrent_tls_connect(per_worker);
            builder.listen("https", listener, move || {
                let mut acceptor = Acceptor::new(tls.clone());
                acceptor.set_handshake_timeout(limits.request_timeout);
                guard(&connections)
                    .and_then(acceptor.map_err(|error: TlsError<_, Infallible>| {
                        DispatchError::Io(std::io::Error::other(error.to_string()))
                    }))
                    .map(|stream: TlsStream<Socket>| {
                        let peer = below_tls(&stream).peer();
                        (stream, Protocol::Http1, Some(peer))
                    })
                    .and_then(http(&api, &going_down, true, below_tls))
            })?
        }
    };
    Ok(builder.run())
}

fn below_tls(stream: &TlsStream<Socket>) -> &Socket {
    stream.get_ref().0
}

fn guard(
    connections: &Arc<Connections>,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = Socket,
    Error = DispatchError,
    InitError = (),
> + use<> {
    let connections = connections.clone();
    fn_service(move |stream| ready(connections.admit(stream).map_err(DispatchError::Io)))
}

fn http<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    api: &Arc<Api>,
    going_down: &GracefulShutdownSignal,
    over_tls: bool,
    socket_of: fn(&T) -> &Socket,
) -> impl ServiceFactory<
    (T, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
> + use<T> {
    let (api, going_down) = (api.clone(), going_down.clone());
    let origins = &api.cors_origins;
    let app = App::new()
        .configure(|config| configure(config, &api))
        .wrap(from_fn(coding::refuse))
        .wrap(from_fn(limit::limit))
        .wrap(Condition::new(!origins.is_empty(), cors::of(origins)))
        .wrap(from_fn(response::problem_responses))
        .wrap(Condition::new(over_tls, response::strict_transport()))
        .wrap(TracingLogger::<RequestSpan>::new())
        .wrap(from_fn(response::request_id))
        .wrap(from_fn(track_request))
        .into_factory()
        .map_err(|error: Error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let going_down = going_down.clone();
            async move { going_down.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(api.connections.limits().request_timeout)
        .client_disconnect_timeout(LINGER)
        .h1_write_buffer_size(WRITE_BUFFER)
        .on_connect_ext(move |stream, data| {
            data.insert(Arc::clone(socket_of(stream).connection()));
        })
        .finish(map_config(app, |()| AppConfig::default()))
}
