//! The HTTP/1 server: each accepted socket is guarded, speaks TLS where the settings say so, and is then the library's.

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

use super::connections::{Connections, Guarded, attend};
use super::request_span::RequestSpan;
use super::{Api, KEEP_ALIVE, coding, configure, cors, envelope, limit};

/// How long a connection is read on after an answer to a request that has not come as a whole: a reset would take the answer from
/// the caller.
const LINGERS: Duration = Duration::from_secs(1);
/// Once so many bytes wait for a peer, no more of its answer is asked for: see [`attend`].
const WRITE_AT_ONCE: usize = 16 * 1024;
/// Connections above the limit that are accepted: they take the place of idle ones.
const ABOVE: usize = 32;

type Socket = Guarded<TcpStream>;

/// The server on `listener`, not yet running: await it. It hears no signals: whoever runs it calls
/// [`Api::drain`] and stops it through its handle; requests in flight then have `shutdown_grace` to finish. With `tls` it
/// answers nobody who does not speak TLS.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(
    listener: TcpListener,
    api: Arc<Api>,
    shutdown_grace: Duration,
    workers: usize,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Server> {
    let grace = shutdown_grace.as_millis().div_ceil(1000);
    let connections = api.connections.clone();
    let allowed = connections.allowed();
    let per_worker = allowed.total.saturating_add(ABOVE).div_ceil(workers);
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
                acceptor.set_handshake_timeout(allowed.request_timeout);
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

/// Admits sockets, or closes them.
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

/// What answers on a connection `T`; `of` is its socket.
fn http<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    api: &Arc<Api>,
    going_down: &GracefulShutdownSignal,
    over_tls: bool,
    of: fn(&T) -> &Socket,
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
        .wrap(from_fn(envelope::dress))
        .wrap(Condition::new(over_tls, envelope::strict_transport()))
        .wrap(TracingLogger::<RequestSpan>::new())
        .wrap(from_fn(envelope::identify))
        .wrap(from_fn(attend))
        .into_factory()
        .map_err(|error: Error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let going_down = going_down.clone();
            async move { going_down.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(api.connections.allowed().request_timeout)
        .client_disconnect_timeout(LINGERS)
        .h1_write_buffer_size(WRITE_AT_ONCE)
        .on_connect_ext(move |stream, data| {
            data.insert(Arc::clone(of(stream).connection()));
        })
        .finish(map_config(app, |()| AppConfig::default()))
}
