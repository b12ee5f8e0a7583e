//! The Rust interface to the simulated vendors.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::control::HostChange;
use super::fault::{IngestFault, VendorFault};
use super::http::ClientSocket;
use super::listeners::{Addresses, Listener};
use super::media::IngestSockets;
use super::options::{Options, Quotas, WebhookUrls};
use super::snapshot::WorldSnapshot;
use super::world::{
    BackgroundJob, Credentials, Dice, IVS_REGION, IngestUrls, SimPlatform, World, deliver,
};
use super::{egress, media, server};

/// For the cloud browser's requests and for webhooks, wall clock.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 1024 * 1024;
/// How often due changes happen without a call, wall clock.
const TICK: Duration = Duration::from_millis(20);

/// The running vendors; dropping it stops them. Its methods need no runtime.
pub struct SimulatedVendors {
    world: Arc<World>,
    stop: UnboundedSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for SimulatedVendors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Vendors")
            .field("addresses", &self.world.addresses)
            .finish_non_exhaustive()
    }
}

#[allow(missing_docs, reason = "a comment says only what the name does not")]
impl SimulatedVendors {
    /// Starts the vendors on loopback, in a thread of their own.
    pub fn start(options: Options) -> io::Result<Self> {
        // Fails if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ingest = options
            .media
            .then(|| ingest_at(options.speed))
            .transpose()?;
        let (addresses, listeners) = Addresses::bind(&options)?;
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(io::Error::other)?;
        let mut dice = Dice::new(options.seed);
        let mut keys = Credentials::draw(&mut dice);
        let ingests = match &ingest {
            None => IngestUrls::of_vendors(&keys.ivs),
            Some(ingest) => {
                let (secure, plain) = ingest.ports()?;
                keys.ivs.ingest_endpoint = format!("127.0.0.1:{secure}");
                IngestUrls::on_loopback(secure, plain)
            }
        };
        let (jobs, work) = unbounded_channel();
        let world = World::new(options, dice, keys, addresses, ingests, http, jobs);
        let world = Arc::new(world);
        let (stop, stopped) = unbounded_channel();
        let (ready, started) = mpsc::channel();
        let system = Arc::clone(&world);
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || run(&system, listeners, ingest, work, stopped, &ready))?;
        started.recv().map_err(io::Error::other)??;
        Ok(Self {
            world,
            stop,
            thread: Some(thread),
        })
    }

    /// The URL ends in `/client/v4`.
    pub fn cloudflare_api_base_url(&self) -> String {
        self.world.cloudflare_url()
    }

    pub fn customer_base_url(&self) -> String {
        self.world.customer_url()
    }

    pub fn agora_base_url(&self) -> String {
        self.world.addresses.url(Listener::Agora)
    }

    pub fn agora_fallback_base_url(&self) -> String {
        self.world.addresses.url(Listener::AgoraFallback)
    }

    pub fn control_url(&self) -> String {
        self.world.addresses.url(Listener::Control)
    }

    pub fn mux_api_base_url(&self) -> String {
        self.world.addresses.url(Listener::Mux)
    }

    pub fn mux_playback_base_url(&self) -> String {
        self.world.addresses.url(Listener::MuxPlayback)
    }

    /// A publish URL without TLS, for encoders that refuse the certificate. `None`: the platform has no such URL.
    pub fn plain_rtmp_url(&self, publish_url: &str) -> Option<String> {
        self.world.ingests.plain(publish_url)
    }

    /// For `mux.ingest_url`.
    pub fn mux_ingest_url(&self) -> &str {
        let url = self.world.ingests.of(SimPlatform::Mux);
        url.trim_end_matches('/')
    }

    pub fn mux_token_id(&self) -> &str {
        &self.world.keys.mux_token_id
    }

    pub fn mux_token_secret(&self) -> &str {
        &self.world.keys.mux_token_secret
    }

    /// Signs messages to [`WebhookUrls::mux`].
    pub fn mux_webhook_secret(&self) -> &str {
        &self.world.keys.mux_webhook_secret
    }

    pub fn ivs_api_base_url(&self) -> String {
        self.world.addresses.url(Listener::Ivs)
    }

    pub fn ivs_playback_base_url(&self) -> String {
        self.world.addresses.url(Listener::IvsPlayback)
    }

    pub fn ivs_s3_endpoint(&self) -> String {
        self.world.addresses.url(Listener::S3)
    }

    /// Serves the objects of the bucket to players.
    pub fn ivs_vod_base_url(&self) -> String {
        format!("{}/vod", self.ivs_playback_base_url())
    }

    pub fn ivs_region(&self) -> &str {
        IVS_REGION
    }

    pub fn ivs_access_key_id(&self) -> &str {
        &self.world.keys.ivs.access_key_id
    }

    pub fn ivs_secret_access_key(&self) -> &str {
        &self.world.keys.ivs.secret_access_key
    }

    /// With [`Options::ivs_temporary_credentials`].
    pub fn ivs_session_token(&self) -> &str {
        &self.world.keys.ivs.session_token
    }

    pub fn ivs_recording_configuration_arn(&self) -> &str {
        &self.world.keys.ivs.recording_configuration
    }

    pub fn ivs_recording_bucket(&self) -> &str {
        &self.world.keys.ivs.bucket
    }

    /// The `x-relaykeeper-secret` of messages to [`WebhookUrls::ivs`].
    pub fn ivs_webhook_secret(&self) -> &str {
        &self.world.keys.ivs.webhook_secret
    }

    pub fn account_id(&self) -> &str {
        &self.world.keys.account_id
    }

    pub fn cloudflare_api_token(&self) -> &str {
        &self.world.keys.cloudflare_token
    }

    pub fn agora_app_id(&self) -> &str {
        &self.world.keys.app_id
    }

    pub fn agora_app_certificate(&self) -> &str {
        &self.world.keys.app_certificate
    }

    pub fn agora_customer_id(&self) -> &str {
        &self.world.keys.customer_id
    }

    pub fn agora_customer_secret(&self) -> &str {
        &self.world.keys.customer_secret
    }

    /// The `cf-webhook-auth` of messages to [`WebhookUrls::cloudflare_live`].
    pub fn live_webhook_secret(&self) -> &str {
        &self.world.keys.live_webhook_secret
    }

    pub fn stream_webhook_secret(&self) -> &str {
        &self.world.keys.stream_webhook_secret
    }

    pub fn agora_webhook_secret(&self) -> &str {
        &self.world.keys.agora_webhook_secret
    }

    /// Every secret issued so far.
    pub fn issued_secrets(&self) -> Vec<String> {
        self.world.with(|state, _| state.secrets.clone())
    }

    pub fn state(&self) -> WorldSnapshot {
        self.world.snapshot()
    }

    /// The state with only the calls and violations since then: copying all of them delays answers.
    pub fn state_since(&self, since: DateTime<Utc>) -> WorldSnapshot {
        self.world.snapshot_since(since)
    }

    /// A seller joins or leaves a channel; without a uid: all sellers.
    pub fn set_seller(&self, channel: &str, uid: Option<u32>, present: bool) {
        self.world
            .set_seller(channel, uid, present, HostChange::Joining);
    }

    /// A seller in a channel switches between broadcaster and audience.
    pub fn switch_role(&self, channel: &str, uid: u32, on_stage: bool) {
        self.world
            .set_seller(channel, Some(uid), on_stage, HostChange::Role);
    }

    pub fn fault(&self, fault: VendorFault) {
        self.world.with(|state, _| state.faults.add(fault));
    }

    /// Removes all faults. Hanging calls keep hanging.
    pub fn clear_faults(&self) {
        self.world.with(|state, _| state.faults.clear());
    }

    /// Replaces [`Options::webhooks`].
    pub fn set_webhooks(&self, urls: WebhookUrls) {
        self.world.with(|state, _| state.webhooks = urls);
    }

    /// Replaces what ails the ingests; `None`: nothing.
    pub fn fault_ingests(&self, fault: Option<IngestFault>) {
        self.world
            .with(|state, now| state.set_ingest_fault(fault, now));
    }

    /// Replaces [`Options::quotas`].
    pub fn set_quotas(&self, quotas: Quotas) {
        self.world.with(|state, _| state.set_quotas(quotas));
    }

    /// Creates a live input without a tag; returns its uid.
    pub fn foreign_live_input(&self) -> String {
        self.world.foreign_live_input()
    }

    /// Notifies of an encoder that connects and disconnects, although none does.
    pub fn reconnect(&self, live_input: &str) {
        self.world.reconnect(live_input);
    }

    /// Connects an encoder of the caller's, which `name` names, to an ingest; returns the connection, or why it is refused.
    pub fn publish(&self, publish_url: &str, name: &str) -> Result<u64, &'static str> {
        self.world.publish(publish_url, name)
    }

    /// Disconnects such an encoder.
    pub fn unpublish(&self, connection: u64) {
        self.world.unpublish(connection);
    }

    /// Kills an egress (sid or converter id) without a notification: calls answer 404. It comes back after `back_after` (simulated),
    /// if given. False if the id is unknown.
    pub fn kill(&self, egress: &str, back_after: Option<Duration>) -> bool {
        self.world.kill(egress, back_after)
    }

    /// Makes a ready video report the duration -1, or its own again. False if the uid is unknown.
    pub fn hide_length(&self, video: &str, hidden: bool) -> bool {
        self.world.hide_length(video, hidden)
    }

    /// Pauses an egress's push, in simulated time. False if the id is unknown.
    pub fn drop_feed(&self, egress: &str, pause: Duration) -> bool {
        self.world.drop_feed(egress, pause)
    }
}

impl Drop for SimulatedVendors {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    world: &Arc<World>,
    listeners: Vec<TcpListener>,
    ingest: Option<IngestSockets>,
    mut work: UnboundedReceiver<BackgroundJob>,
    mut stopped: UnboundedReceiver<()>,
    ready: &mpsc::Sender<io::Result<()>>,
) {
    actix_web::rt::System::new().block_on(async {
        let server = match serve(world, listeners) {
            Ok(server) => server,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let handle = server.handle();
        let server = actix_web::rt::spawn(server);
        let _ = ready.send(Ok(()));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut tasks = tokio::task::JoinSet::new();
        if let Some(ingest) = ingest {
            let world = Arc::clone(world);
            tasks.spawn_local(async move {
                if let Err(error) = media::serve(world, ingest).await {
                    tracing::warn!(%error, "sandbox: encoders cannot publish");
                }
            });
        }
        loop {
            tokio::select! {
                _ = stopped.recv() => break,
                _ = tick.tick() => {
                    world.with(|_, _| ());
                    while tasks.try_join_next().is_some() {}
                }
                Some(job) = work.recv() => {
                    let world = Arc::clone(world);
                    match job {
                        BackgroundJob::RunTask(sid) => tasks.spawn_local(egress::run_task(world, sid)),
                        BackgroundJob::RunConverter(id) => tasks.spawn_local(egress::run_converter(world, id)),
                        BackgroundJob::Publish(publication) => tasks.spawn_local(media::run_publisher(world, publication)),
                        BackgroundJob::Deliver(notice) => tasks.spawn_local(deliver(world, notice)),
                    };
                }
            }
        }
        handle.stop(false).await;
        let _ = server.await;
    });
}

/// Fails if media cannot be real.
fn ingest_at(speed: f64) -> io::Result<IngestSockets> {
    if (speed - 1.0).abs() > f64::EPSILON {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "real media needs the speed 1"));
    }
    media::check_ffmpeg()?;
    IngestSockets::bind()
}

fn serve(world: &Arc<World>, listeners: Vec<TcpListener>) -> io::Result<Server> {
    let data = Data::new(Arc::clone(world));
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .default_service(web::to(server::serve))
    })
    .workers(1)
    .keep_alive(Duration::from_secs(75))
    .disable_signals()
    .on_connect(|connection, kept| {
        let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
        if let Some(stream) = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok()) {
            kept.insert(ClientSocket(stream.into()));
        }
    });
    for listener in listeners {
        server = server.listen(listener)?;
    }
    Ok(server.run())
}
