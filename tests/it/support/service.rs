//! The service in this process, on simulated vendors, over real HTTP.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use relaykeeper::application::{self, Application};
use relaykeeper::config::{AgoraBackend, LogFormat, Settings};
use relaykeeper::egresses::EgressBackend;
use relaykeeper::platforms::Platforms;
use relaykeeper::sandbox::{
    CallRecord, EgressSnapshot, Options, SimulatedVendors, VendorCall, WebhookUrls,
};
use relaykeeper::telemetry;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::database::TestDatabase;

pub const API_TOKEN: &str = "api-token-of-the-tests";
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const BACKENDS: [AgoraBackend; 2] = [AgoraBackend::CloudRecording, AgoraBackend::MediaPush];

/// Violations that the search for a lost answer causes: 409 finds a converter by its name, a repeated start on its resource finds
/// a task, and 400/53 finds one on an older resource (`ARCHITECTURE.md`, decision 3).
pub const AFTER_A_LOST_ANSWER: [&str; 3] = ["name_conflict", "resource_reused", "task_conflict"];

/// The data of a cleanup job for an egress that no list shows: it waits for a notification or for the time limit.
pub const UNLISTED: &str = r#"{"backend":"cloud_recording","kind":"find_egress"%"#;

/// Vendors at 20 times the wall clock, except for durations in requests.
pub fn options() -> Options {
    Options {
        speed: 20.0,
        wire_speed: Some(1.0),
        ..Options::default()
    }
}

pub fn settings(vendors: &SimulatedVendors, backend: AgoraBackend, database_url: &str) -> Settings {
    let mut settings = Settings::default();
    settings.database.url = database_url.into();
    settings.auth.api_tokens = vec![API_TOKEN.into()];
    settings.auth.admin_tokens = vec![ADMIN_TOKEN.into()];
    settings.server.shutdown_grace = Duration::from_secs(3);
    settings.fleet.lease = Duration::from_secs(6);
    settings.fleet.renewal = Duration::from_secs(1);
    let relay = &mut settings.relay;
    relay.deployment = "tests".into();
    relay.poll_interval = Duration::from_millis(200);
    relay.provisioning_timeout = Duration::from_secs(10);
    relay.live_timeout = Duration::from_secs(5);
    relay.live_check_interval = Duration::from_millis(300);
    relay.reconnect_window = Duration::from_secs(2);
    relay.feed_timeout = Duration::from_secs(3);
    relay.recording_timeout = Duration::from_secs(8);
    settings.janitor.interval = Duration::from_secs(1);
    settings.janitor.grace = Duration::from_secs(60);
    settings.vendors.read_timeout = Duration::from_secs(2);
    settings.vendors.write_timeout = Duration::from_secs(3);
    let cloudflare = &mut settings.cloudflare;
    cloudflare.account_id = vendors.account_id().into();
    cloudflare.api_token = vendors.cloudflare_api_token().into();
    cloudflare.api_base_url = vendors.cloudflare_api_base_url();
    cloudflare.customer_base_url = vendors.customer_base_url();
    cloudflare.recordings_interval = Duration::from_millis(300);
    cloudflare.live_webhook_secret = vendors.live_webhook_secret().into();
    cloudflare.stream_webhook_secret = vendors.stream_webhook_secret().into();
    let agora = &mut settings.agora;
    agora.backend = backend;
    agora.app_id = vendors.agora_app_id().into();
    agora.app_certificate = vendors.agora_app_certificate().into();
    agora.customer_id = vendors.agora_customer_id().into();
    agora.customer_secret = vendors.agora_customer_secret().into();
    agora.api_base_url = vendors.agora_base_url();
    agora.fallback_base_urls = vec![vendors.agora_fallback_base_url()];
    agora.webhook_secrets = vec![vendors.agora_webhook_secret().into()];
    agora.not_found_backoff = [100, 200, 400].map(Duration::from_millis).to_vec();
    agora.cloud_recording.query_interval = Duration::from_millis(500);
    agora.cloud_recording.storage.bucket = "bucket".into();
    agora.cloud_recording.storage.access_key = "storage-access-key".into();
    agora.cloud_recording.storage.secret_key = "storage-secret-key".into();
    agora.media_push.query_interval = Duration::from_millis(500);
    settings
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null if it is not JSON.
    pub body: Value,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Self {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            body,
        }
    }

    /// A header, or "".
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("plain text"))
    }

    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, &self.body["code"]),
            (status, &json!(code)),
            "{self:#?}"
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("urn:relaykeeper:problem:{code}"));
        assert_eq!(self.body["status"], status);
        assert!(self.body["request_id"].is_string(), "{self:#?}");
    }
}

/// Stopped when dropped.
pub struct Service {
    pub url: String,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    pub async fn start(settings: Settings) -> Self {
        let service = Self::start_unready(settings);
        service.wait_until_ready().await;
        service
    }

    /// With a backend of the test for new relays.
    pub async fn start_with_egress(settings: Settings, egress: Arc<dyn EgressBackend>) -> Self {
        let service = Self::build(settings, |platforms| platforms, Some(egress));
        service.wait_until_ready().await;
        service
    }

    pub fn start_unready(settings: Settings) -> Self {
        Self::start_unready_with(settings, |platforms| platforms)
    }

    /// With further platforms than those of the settings.
    pub fn start_unready_with(
        settings: Settings,
        further: impl FnOnce(Platforms) -> Platforms + Send + 'static,
    ) -> Self {
        Self::build(settings, further, None)
    }

    fn build(
        mut settings: Settings,
        further: impl FnOnce(Platforms) -> Platforms + Send + 'static,
        egress: Option<Arc<dyn EgressBackend>>,
    ) -> Self {
        // Fails for the second service in this process.
        let _ = telemetry::init(LogFormat::Pretty);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        settings.server.public_url.clone_from(&url);
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, is_started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            application::run(async move {
                let application = Application::with_ports(listener, settings, further, egress)
                    .await
                    .expect("it builds");
                started.send(()).expect("the test waits");
                let stop = async move {
                    let _ = stopped.await;
                };
                application.run_until(stop).await
            })
            .expect("it runs");
        });
        is_started.recv().expect("it builds");
        Self {
            url,
            http: reqwest::Client::new(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A service in another process.
    pub fn at(url: String) -> Self {
        Self {
            url,
            http: reqwest::Client::new(),
            stop: None,
            thread: None,
        }
    }

    pub async fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self
                .http
                .get(format!("{}/readyz", self.url))
                .send()
                .await
                .is_ok_and(|a| a.status() == 200)
            {
                return;
            }
            assert!(Instant::now() < deadline, "never ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it as SIGTERM does, and waits.
    pub fn shut_down(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the service panicked"
            );
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(API_TOKEN)
    }

    pub fn as_admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(ADMIN_TOKEN)
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self
            .request(Method::GET, path)
            .send()
            .await
            .expect("an answer");
        let (status, body) = (answer.status(), answer.text().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    pub async fn start_channel(&self, channel_id: i64, body: &Value) -> (StatusCode, Value) {
        let path = format!("/v1/channels/{channel_id}/start");
        let answer = self
            .request(Method::POST, &path)
            .json(body)
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    pub async fn stop_channel(&self, channel_id: i64) -> (StatusCode, Value) {
        let path = format!("/v1/channels/{channel_id}/stop");
        let answer = self
            .request(Method::POST, &path)
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self.request(Method::POST, path).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::to(request).await
    }

    pub async fn go_live(&self, channel_id: i64, body: &Value) -> Value {
        let (status, relay) = self.start_channel(channel_id, body).await;
        assert!(status == 201 || status == 202, "{status} {relay:#}");
        self.in_phase(&relay, "live").await
    }

    pub async fn come_down(&self, channel_id: i64) -> Value {
        let (status, relay) = self.stop_channel(channel_id).await;
        assert_eq!(status, 202, "{relay:#}");
        self.in_phase(&relay, "ended").await
    }

    pub async fn relay_when(
        &self,
        relay: &Value,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/v1/relays/{}", relay["id"].as_str().expect("an id"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let relay = self.get(&path).await;
            if wanted(&relay) {
                return relay;
            }
            assert!(Instant::now() < deadline, "never {what}: {relay:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn in_phase(&self, relay: &Value, phase: &str) -> Value {
        self.relay_when(relay, phase, |relay| relay["phase"] == phase)
            .await
    }

    pub async fn phases(&self, relay: &Value) -> Vec<String> {
        let path = format!(
            "/v1/relays/{}/events?limit=200",
            relay["id"].as_str().expect("an id")
        );
        let events = self.get(&path).await;
        let mut phases: Vec<String> = events["events"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|event| event["phase"].as_str().expect("a phase").to_owned())
            .collect();
        phases.dedup();
        phases
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

pub struct Stage {
    pub vendors: SimulatedVendors,
    pub service: Service,
    pub database: TestDatabase,
}

impl Stage {
    pub async fn new(backend: AgoraBackend) -> Self {
        Self::with(backend, options(), |_| {}).await
    }

    pub async fn with(
        backend: AgoraBackend,
        options: Options,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::with_vendors(backend, options, |_, settings| change(settings)).await
    }

    pub async fn with_vendors(
        backend: AgoraBackend,
        options: Options,
        change: impl FnOnce(&SimulatedVendors, &mut Settings),
    ) -> Self {
        let vendors = SimulatedVendors::start(options).expect("vendors");
        let database = TestDatabase::sqlite();
        let mut settings = settings(&vendors, backend, &database.url);
        settings.server.shutdown_grace = Duration::from_millis(200);
        change(&vendors, &mut settings);
        let service = Service::start(settings).await;
        Self {
            vendors,
            service,
            database,
        }
    }
}

impl Stage {
    pub fn webhooks_on(&self) {
        self.vendors.set_webhooks(webhooks(&self.service.url));
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.database.raw().await.number(sql).await
    }

    /// Waits until nothing is left at the vendors and no cleanup job is open.
    pub async fn settles(&self) {
        until_nothing_is_left(&self.vendors).await;
        until("without cleanup jobs", async || {
            self.count("SELECT COUNT(*) FROM cleanup_jobs").await == 0
        })
        .await;
    }
}

pub fn webhooks(service_url: &str) -> WebhookUrls {
    let at = |path: &str| Some(format!("{service_url}/webhooks/{path}"));
    WebhookUrls {
        cloudflare_live: at("cloudflare/live"),
        cloudflare_stream: at("cloudflare/stream"),
        agora: at("agora"),
        mux: at("mux"),
        ivs: at("ivs"),
        ..WebhookUrls::default()
    }
}

/// Oldest first.
pub fn calls(vendors: &SimulatedVendors, call: VendorCall) -> Vec<CallRecord> {
    let mut calls = vendors.state().calls;
    calls.retain(|record| record.call == call.name());
    calls
}

/// Calls that change something at a vendor.
pub fn changes(vendors: &SimulatedVendors) -> Vec<&'static str> {
    let changes = [
        "create", "update", "delete", "rotate", "acquire", ".start", ".stop",
    ];
    let calls = vendors.state().calls.into_iter().map(|record| record.call);
    calls
        .filter(|call| changes.iter().any(|change| call.contains(change)))
        .collect()
}

pub fn violations(vendors: &SimulatedVendors) -> Vec<&'static str> {
    let violations = vendors.state().violations;
    violations.iter().map(|one| one.kind).collect()
}

pub fn alive(vendors: &SimulatedVendors) -> Vec<EgressSnapshot> {
    let mut egresses = vendors.state().egresses;
    egresses.retain(EgressSnapshot::is_alive);
    egresses
}

pub fn show(channel_name: &str) -> Value {
    json!({ "channel_name": channel_name, "seller_uid": 12345 })
}

pub async fn vendors_when<T>(
    vendors: &SimulatedVendors,
    what: &str,
    poll: impl Fn(&SimulatedVendors) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = poll(vendors) {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "never {what}: {:#?}",
            vendors.state()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The publish URL, as another client of Cloudflare reads it.
pub async fn publish_url(vendors: &SimulatedVendors, ingest: &str) -> String {
    let (base, account) = (vendors.cloudflare_api_base_url(), vendors.account_id());
    let url = format!("{base}/accounts/{account}/stream/live_inputs/{ingest}");
    let read = reqwest::Client::new().get(url);
    let read = Answer::to(read.bearer_auth(vendors.cloudflare_api_token())).await;
    let rtmps = &read.body["result"]["rtmps"];
    let part = |name: &str| rtmps[name].as_str().unwrap().to_owned();
    part("url") + &part("streamKey")
}

pub fn nothing_is_left(vendors: &SimulatedVendors) -> bool {
    let state = vendors.state();
    state.live_inputs.iter().all(|input| input.deleted)
        && !state.egresses.iter().any(|egress| egress.is_alive())
}

pub async fn until_nothing_is_left(vendors: &SimulatedVendors) {
    vendors_when(vendors, "nothing left", |vendors| {
        nothing_is_left(vendors).then_some(())
    })
    .await;
}

pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
