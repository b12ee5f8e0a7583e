//! The HTTP API. Reads use the directory or the store, never an actor's mailbox.

mod admin;
mod auth;
mod body;
pub(crate) mod browser;
mod coding;
mod connections;
mod cors;
mod docs;
mod event_stream;
mod headers;
pub mod health;
pub(crate) mod input;
mod limit;
mod metrics;
pub mod openapi;
mod origin;
mod playback;
mod prepared;
pub mod problem;
mod recorder;
mod relays;
mod request_span;
mod response;
pub(crate) mod routes;
mod server;
pub(crate) mod session;
mod strict_json;
mod trpc;
mod v1;
pub(crate) mod vendor_watch;
mod viewers;
mod webhooks;

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};

use crate::actors::{Readiness, RelayService};
use crate::config::Settings;
use crate::egresses::Egresses;
use crate::platforms::Platforms;
use crate::store::Store;
use auth::Tokens;
use connections::{ConnectionLimits, Connections};
use event_stream::EventStream;
use health::Health;
use limit::Limits;
use origin::Proxies;
use problem::Problem;
use recorder::RecorderPage;
pub use request_span::RequestSpan;
use routes::{Routed, Routes};
pub use server::server;
use session::Sessions;
pub use vendor_watch::VendorWatch;
pub use viewers::{AskViewers, Viewers};
use webhooks::WebhookReceiver;

/// The default limit of a body, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Agora advises at least 10 s (`agora.md §6.1`).
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Adds the operators' pages to `/admin`.
pub type Pages = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What the API needs besides the settings, the relay service and the store.
#[derive(Clone)]
pub struct Dependencies {
    /// The clock.
    pub clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// The state of the vendors.
    pub health: Health,
    /// The numbers of viewers.
    pub viewers: Viewers,
    /// Verify and read their notifications.
    pub platforms: Platforms,
    /// Read notifications about egresses.
    pub egresses: Egresses,
    /// This node's name, for operators.
    pub node: String,
    /// See [`crate::console::pages`].
    pub pages: Pages,
}

/// The handlers' shared state.
pub struct Api {
    pub(crate) service: RelayService,
    pub(crate) store: Store,
    event_stream: EventStream,
    tokens: Tokens,
    limits: Option<Limits>,
    cors_origins: Vec<String>,
    connections: Arc<Connections>,
    pub(crate) proxies: Proxies,
    pub(crate) sessions: Sessions,
    /// By the settings alone.
    pub(crate) is_https: bool,
    pages: Pages,
    start_wait: Duration,
    /// The egresses' uids: a seller must not use them.
    recorder_uids: RangeInclusive<u32>,
    recorder: Option<RecorderPage>,
    webhooks: WebhookReceiver,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    health: Health,
    pub(crate) viewers: Viewers,
    platforms: Platforms,
    egresses: Egresses,
    pub(crate) node: String,
    draining: AtomicBool,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// The API with these settings.
    #[must_use]
    pub fn new(
        settings: &Settings,
        service: RelayService,
        store: Store,
        dependencies: Dependencies,
    ) -> Arc<Self> {
        let proxies = Proxies::new(&settings.server.trusted_proxies);
        Arc::new(Self {
            service,
            event_stream: EventStream::new(store.clone()),
            store,
            tokens: Tokens::new(&settings.auth),
            limits: Limits::new(settings.server.requests_per_second),
            cors_origins: settings.server.cors_origins.clone(),
            connections: Connections::new(ConnectionLimits::new(&settings.server), proxies.clone()),
            proxies,
            sessions: Sessions::new(&settings.auth.admin_tokens, (dependencies.clock)()),
            is_https: settings.server.public_url.starts_with("https://")
                || !settings.server.tls_certificate.as_os_str().is_empty(),
            pages: dependencies.pages,
            start_wait: settings.relay.start_wait,
            recorder_uids: settings.agora.cloud_recording.recorder_uids(),
            recorder: RecorderPage::new(settings),
            webhooks: WebhookReceiver::new(settings),
            clock: dependencies.clock,
            health: dependencies.health,
            viewers: dependencies.viewers,
            platforms: dependencies.platforms,
            egresses: dependencies.egresses,
            node: dependencies.node,
            draining: AtomicBool::new(false),
        })
    }

    /// Makes `/readyz` answer 503 from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Broadcasts new outbox events to `/v1/events`, until [`Api::close_event_streams`].
    pub async fn publish_events(&self) {
        self.event_stream.publish_forever().await;
    }

    /// Clients reconnect, maybe to another node, and resume.
    pub fn close_event_streams(&self) {
        self.event_stream.close();
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether this process holds the database and has loaded its relays. Still true during shutdown.
    pub(crate) fn drives_relays(&self) -> bool {
        self.service.readiness() != Readiness::Starting
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}

/// Registers all routes, without middleware.
pub fn configure(config: &mut ServiceConfig, api: &Arc<Api>) {
    config
        .app_data(Data::from(Arc::clone(api)))
        .app_data(web::PayloadConfig::new(BODY_LIMIT));
    routes(config, &Routed::default(), &api.pages);
}

fn routes(config: &mut ServiceConfig, routed: &Routed, pages: &Pages) {
    health::probes(&mut Routes::below("", config, routed));
    Routes::below("", config, routed).service(
        &[("get", "/metrics")],
        routes::reading("/metrics", metrics::metrics).wrap(from_fn(auth::metrics_reader)),
    );
    openapi::routes(&mut Routes::below("", config, routed));
    docs::routes(&mut Routes::below("", config, routed));
    trpc::routes(&mut Routes::below("", config, routed));
    recorder::routes(&mut Routes::below("", config, routed));
    webhooks::routes(&mut Routes::below("", config, routed));
    let within = |prefix, add: fn(&mut Routes<'_>)| {
        let routed = Rc::clone(routed);
        move |config: &mut ServiceConfig| add(&mut Routes::below(prefix, config, &routed))
    };
    config
        .service(
            web::scope("/v1")
                .wrap(from_fn(auth::any_token))
                .configure(within("/v1", v1::routes))
                .default_service(web::to(not_found)),
        )
        .service(
            web::scope("/admin")
                .wrap(from_fn(auth::admin_token))
                .configure(within("/admin", admin::routes))
                .configure(|config| pages(config))
                .default_service(web::to(not_found)),
        )
        .default_service(web::to(not_found));
}

/// If the path has extra slashes, the detail names the right one. A redirect would be wrong: some clients turn a POST into
/// a GET, or drop the body or the token.
async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parts = request.match_info().as_str().split('/');
    let path: String = parts
        .filter(|part| !part.is_empty())
        .flat_map(|part| ["/", part])
        .collect();
    let detail = match request.resource_map().has_resource(&path) {
        true => format!("There is no such route. Without the extra slashes it is {path}."),
        false => "There is no such route.".to_owned(),
    };
    Err(Problem::not_found(detail))
}
