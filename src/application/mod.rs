//! Builds the service from store, vendors, actors and HTTP server, and runs it until it is stopped.

mod dependencies;
pub mod descriptors;
mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::actors::{Cluster, NodeContext, NodeRunner, VendorClients};
use crate::api::{self, Api};
use crate::config::{RuntimeSettings, Settings, SettingsError};
use crate::egresses::EgressBackend;
use crate::platforms::Platforms;
use crate::store::Store;
use crate::telemetry::metrics;
use tls::Certificate;

/// How long a stopping process stays reachable, for load balancers and late stops.
const DRAIN_DELAY: Duration = Duration::from_secs(1);

/// Time limit for leaving the fleet, which waits for in-flight calls.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(8);

/// Time limit for stopping every relay. Each is down within 30 s, or leaves cleanup jobs.
pub const STOP_ALL_WITHIN: Duration = Duration::from_secs(120);

/// The service, bound to its port but not serving yet.
pub struct Application {
    settings: Arc<Settings>,
    listener: TcpListener,
    store: Store,
    context: Arc<NodeContext>,
    certificate: Option<Arc<Certificate>>,
    stop_all_until: Option<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Application")
            .field("listener", &self.listener)
            .field("stop_all_until", &self.stop_all_until.is_some())
            .finish_non_exhaustive()
    }
}

/// Runs a service on a new runtime: HTTP workers and actors on actix threads, the rest on tokio's.
pub fn run<F: Future<Output = anyhow::Result<T>>, T>(service: F) -> anyhow::Result<T> {
    run_on(&RuntimeSettings::default(), service)
}

/// [`run`] with the settings' numbers of threads.
pub fn run_on<F: Future<Output = anyhow::Result<T>>, T>(
    threads: &RuntimeSettings,
    service: F,
) -> anyhow::Result<T> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RuntimeSettings::threads(threads.tokio_workers))
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    let system = actix_rt::System::with_tokio_rt(move || runtime);
    let _guard = handle.enter();
    system.block_on(service)
}

/// Binds the port. `::` means all addresses of both families, or of IPv4 on a machine without IPv6.
fn listen(bind: &str, port: u16) -> std::io::Result<TcpListener> {
    if bind != "::" {
        return TcpListener::bind((bind, port));
    }
    let both = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        socket.set_reuse_address(true)?;
        let address = std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(TcpListener::from(socket))
    };
    both().or_else(|error: std::io::Error| {
        use std::io::ErrorKind::{AddrInUse, PermissionDenied};
        if [AddrInUse, PermissionDenied].contains(&error.kind()) {
            return Err(error);
        }
        TcpListener::bind(("0.0.0.0", port))
    })
}

impl Application {
    /// Binds the port, opens the database and creates the vendors' clients. Calls no vendor.
    pub async fn build(mut settings: Settings) -> anyhow::Result<Self> {
        let (bind, port) = (settings.server.bind.as_str(), settings.server.port);
        let listener =
            listen(bind, port).with_context(|| format!("cannot listen on {bind}:{port}"))?;
        listener.set_nonblocking(true)?;
        settings.server.port = listener.local_addr()?.port();
        Self::on(listener, settings).await
    }

    /// [`Application::build`] on a bound socket.
    pub async fn on(listener: TcpListener, settings: Settings) -> anyhow::Result<Self> {
        Self::with_ports(listener, settings, |platforms| platforms, None).await
    }

    /// [`Application::on`], with further platforms than those of the settings, and another backend for the egresses of new
    /// relays.
    pub async fn with_ports(
        listener: TcpListener,
        mut settings: Settings,
        further: impl FnOnce(Platforms) -> Platforms,
        egress: Option<Arc<dyn EgressBackend>>,
    ) -> anyhow::Result<Self> {
        metrics::install();
        let wanted = settings.server.max_connections;
        settings.server.max_connections = descriptors::connections(wanted, descriptors::raise());
        let settings = Arc::new(settings);
        let server = &settings.server;
        let certificate = (!server.tls_certificate.as_os_str().is_empty())
            .then(|| Certificate::read(&server.tls_certificate, &server.tls_key))
            .transpose()?;
        let runtime = tokio::runtime::Handle::current();
        let store = Store::connect(&settings.database)
            .await
            .context("the database cannot be opened")?;
        let cluster = Cluster::on(store.clone());
        let lease = cluster.lease();
        let platforms =
            Platforms::of_settings(&settings, &runtime, &lease, cluster.shared_polls())?;
        let platforms = further(platforms);
        let problems = platforms.video_problems(&settings.agora);
        if !problems.is_empty() {
            return Err(SettingsError::Refused { problems }.into());
        }
        let mut vendors = VendorClients::new(settings.clone(), runtime.clone(), lease, platforms)?;
        if let Some(egress) = egress {
            vendors.egresses.choose(egress);
        }
        let context = NodeContext::new(settings.clone(), cluster, Arc::new(vendors), runtime);
        Ok(Self {
            settings,
            listener,
            store,
            context,
            certificate,
            stop_all_until: None,
        })
    }

    /// Stops every relay before exiting, until they are down, [`STOP_ALL_WITHIN`] passes or `hurry` returns.
    #[must_use]
    pub fn stopping_all_on_exit(
        mut self,
        hurry: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.stop_all_until = Some(Box::pin(hurry));
        self
    }

    /// The address it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` returns, then drains. Egresses keep running for the next process, unless
    /// [`Application::stopping_all_on_exit`] is set. Fails if the server does or, on SQLite, another process took the database.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let node_runner = NodeRunner::new(self.context.clone());
        let service = node_runner.service();
        let upkeep = tokio::task::spawn_local(metrics::upkeep_forever());
        let clock = self.context.clone();
        let clock = tokio::spawn(async move { clock.watch_clock().await });
        let capabilities = dependencies::read_capabilities(self.context.clone());
        let capabilities = tokio::spawn(capabilities);
        let dependencies = dependencies::of(&self.context);
        let api = Api::new(
            &self.settings,
            service.clone(),
            self.store.clone(),
            dependencies,
        );
        let node_runner_ends = CancellationToken::new();
        let end = node_runner_ends.clone().cancelled_owned();
        let mut node_runner = tokio::task::spawn_local(node_runner.run_until(end));
        let event_stream = tokio::spawn({
            let api = api.clone();
            async move { api.publish_events().await }
        });
        let sign_outs = tokio::spawn({
            let api = api.clone();
            async move { api.share_sign_outs().await }
        });
        let grace = self.settings.server.shutdown_grace;
        let workers = RuntimeSettings::threads(self.settings.runtime.http_workers);
        let tls = self.certificate.as_ref();
        let tls = tls.map(|certificate| certificate.server()).transpose()?;
        let renewal = self
            .certificate
            .map(|certificate| tokio::task::spawn_local(certificate.renew_forever()));
        let server = api::server(self.listener, api.clone(), grace, workers, tls)?;
        let handle = server.handle();
        let serving = tokio::task::spawn_local(server);
        let mut serving = std::pin::pin!(serving);
        let (mut served, mut taken_over) = (None, None);
        tokio::select! {
            ended = &mut serving => served = Some(ended),
            held = &mut node_runner => taken_over = Some(held?),
            () = stop => {}
        }
        service.drain();
        api.drain();
        if let Some(Err(taken_over)) = &taken_over {
            tracing::error!(%taken_over, "shutting down: another process owns the database");
        } else if served.is_some() {
            tracing::error!("shutting down: the HTTP server ended");
        } else if let Some(hurry) = self.stop_all_until {
            tracing::info!("shutting down: stopping every relay first");
            let all_down = tokio::select! {
                all_down = service.stop_all(STOP_ALL_WITHIN) => all_down,
                () = hurry => false,
            };
            if !all_down {
                tracing::error!("not every relay is down; the next process continues them");
            }
        } else {
            tracing::info!("shutting down: egresses keep running for the next process");
        }
        tokio::time::sleep(DRAIN_DELAY.min(grace)).await;
        api.close_event_streams();
        // Refuses connections.
        let _ = tokio::time::timeout(grace, handle.stop(true)).await;
        node_runner_ends.cancel();
        if taken_over.is_none() {
            let _ = tokio::time::timeout(grace.max(LEAVE_TIMEOUT), node_runner).await;
        }
        event_stream.abort();
        sign_outs.abort();
        upkeep.abort();
        clock.abort();
        capabilities.abort();
        if let Some(renewal) = renewal {
            renewal.abort();
        }
        let _ = tokio::time::timeout(grace, self.store.close()).await;
        tracing::info!("shut down");
        taken_over.transpose()?;
        match served {
            Some(ended) => Ok(ended??),
            None => Ok(()),
        }
    }
}
