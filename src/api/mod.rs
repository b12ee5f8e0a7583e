//! The HTTP side: thin handlers that read what is asked, ask the actors or the store, and put the answer in the
//! marketplace's words.
//!
//! Reads never enter a mailbox: they come from the directory, or the store. Errors are RFC 9457 problems with a closed
//! list of codes ([`problem::Code`]), the framework's own among them; under `/trpc` they come in tRPC's envelope. `/v1`, `/trpc`
//! and `/admin` want a bearer token, the vendors' webhooks their signature, the recorder's page that of its link.

mod admin;
mod auth;
mod body;
pub(crate) mod browser;
mod coding;
mod connections;
mod cors;
mod docs;
mod envelope;
mod feed;
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
pub(crate) mod routes;
mod server;
pub(crate) mod session;
mod strict_json;
mod trpc;
mod v1;
pub(crate) mod vendor_watch;
mod viewers;
pub mod webhooks;

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
use crate::store::Store;
use auth::Tokens;
use connections::{Allowed, Connections};
use feed::Feed;
use health::Health;
use limit::Limits;
use origin::Proxies;
use problem::Problem;
use recorder::Recorder;
pub use request_span::RequestSpan;
use routes::{Routed, Routes};
pub use server::server;
use session::Sessions;
pub use vendor_watch::VendorWatch;
pub use viewers::{AskViewers, Viewers};
use webhooks::{Stray, Webhooks};

/// The most of a body that is read, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Agora advises to keep connections for 10 s at least (`agora.md §6.1`).
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Puts up pages for operators inside `/admin`.
pub type Pages = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What the API needs besides the settings, the actors and the store.
#[derive(Clone)]
pub struct Outside {
    /// Tells the time.
    pub clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// How the vendors are.
    pub health: Health,
    /// How many watch.
    pub viewers: Viewers,
    /// Hears of what should not be there any more: see [`Stray`].
    pub on_stray: Arc<dyn Fn(Stray) + Send + Sync>,
    /// This process's name, for operators.
    pub node: String,
    /// The console: see [`crate::console::pages`].
    pub pages: Pages,
}

/// All that handlers work with. One for all of the server's threads.
pub struct Api {
    pub(crate) service: RelayService,
    pub(crate) store: Store,
    feed: Feed,
    tokens: Tokens,
    limits: Option<Limits>,
    cors_origins: Vec<String>,
    connections: Arc<Connections>,
    pub(crate) proxies: Proxies,
    pub(crate) sessions: Sessions,
    /// Whether browsers come over HTTPS, by the settings.
    pub(crate) is_https: bool,
    pages: Pages,
    start_wait: Duration,
    /// Uids that are given to egresses: no seller has one of them.
    recorder_uids: RangeInclusive<u32>,
    recorder: Option<Recorder>,
    webhooks: Webhooks,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    health: Health,
    pub(crate) viewers: Viewers,
    on_stray: Arc<dyn Fn(Stray) + Send + Sync>,
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
    /// The API of these settings.
    #[must_use]
    pub fn new(
        settings: &Settings,
        service: RelayService,
        store: Store,
        outside: Outside,
    ) -> Arc<Self> {
        let proxies = Proxies::new(&settings.server.trusted_proxies);
        Arc::new(Self {
            service,
            feed: Feed::new(store.clone()),
            store,
            tokens: Tokens::new(&settings.auth),
            limits: Limits::new(settings.server.requests_per_second),
            cors_origins: settings.server.cors_origins.clone(),
            connections: Connections::new(Allowed::by(&settings.server), proxies.clone()),
            proxies,
            sessions: Sessions::new(&settings.auth.admin_tokens, (outside.clock)()),
            is_https: settings.server.public_url.starts_with("https://")
                || !settings.server.tls_certificate.as_os_str().is_empty(),
            pages: outside.pages,
            start_wait: settings.relay.start_wait,
            recorder_uids: settings.agora.cloud_recording.recorder_uids(),
            recorder: Recorder::new(settings),
            webhooks: Webhooks::new(settings),
            clock: outside.clock,
            health: outside.health,
            viewers: outside.viewers,
            on_stray: outside.on_stray,
            node: outside.node,
            draining: AtomicBool::new(false),
        })
    }

    /// From now on `/readyz` says 503: no new work should come here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Tells whoever listens at `/v1/events` what is new in the outbox, until [`Api::hang_up`].
    pub async fn tell_listeners(&self) {
        self.feed.tell_forever().await;
    }

    /// Ends every event stream: listeners come back elsewhere, and go on where they were.
    pub fn hang_up(&self) {
        self.feed.close();
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether this process drives the relays: it holds the database and has loaded them. One that goes down still does.
    pub(crate) fn acts(&self) -> bool {
        self.service.readiness() != Readiness::Starting
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}

/// All routes, their scopes and limits. What wraps them is in [`server()`].
pub fn configure(config: &mut ServiceConfig, api: &Arc<Api>) {
    config
        .app_data(Data::from(Arc::clone(api)))
        .app_data(web::PayloadConfig::new(BODY_LIMIT));
    routes(config, &Routed::default(), &api.pages);
}

/// All routes, noted in `routed`. A new one is described above its handler (`#[utoipa::path]`) and named in
/// [`openapi::Document`]; a test compares.
fn routes(config: &mut ServiceConfig, routed: &Routed, pages: &Pages) {
    health::probes(&mut Routes::below("", config, routed));
    Routes::below("", config, routed).service(
        &[("get", "/metrics")],
        routes::reading("/metrics", metrics::metrics).wrap(from_fn(auth::scraper)),
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
                .default_service(web::to(nowhere)),
        )
        .service(
            web::scope("/admin")
                .wrap(from_fn(auth::admin_token))
                .configure(within("/admin", admin::routes))
                .configure(|config| pages(config))
                .default_service(web::to(nowhere)),
        )
        .default_service(web::to(nowhere));
}

/// 404; a path that would lead somewhere without its extra slashes is told where. It is no redirect: clients that follow one
/// may turn a POST into a GET, or leave out its body or its token.
async fn nowhere(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parts = request.match_info().as_str().split('/');
    let path: String = parts
        .filter(|part| !part.is_empty())
        .flat_map(|part| ["/", part])
        .collect();
    let detail = match request.resource_map().has_resource(&path) {
        true => format!("No route leads here. Without its extra slashes it is {path}."),
        false => "No route leads here.".to_owned(),
    };
    Err(Problem::not_found(detail))
}
