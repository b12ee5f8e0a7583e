use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use relaykeeper::actors::{Cluster, NodeContext, NodeRunner, RelayService, VendorClients};
use relaykeeper::api::VendorWatch;
use relaykeeper::api::health::Health;
use relaykeeper::api::{Api, Dependencies, Viewers, server};
use relaykeeper::config::Settings;
use relaykeeper::egresses::Egresses;
use relaykeeper::platforms::Platforms;
use relaykeeper::store::Store;
use relaykeeper::vendors::agora::Agora;
use relaykeeper::vendors::lease::Lease;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::support::console;

pub(crate) const API: &str = "api-token";
pub(crate) const ADMIN: &str = "admin-token";

pub(crate) struct Service {
    pub(crate) api: Arc<Api>,
    pub(crate) store: Store,
    pub(crate) base: String,
    client: reqwest::Client,
    _directory: tempfile::TempDir,
}

pub(crate) async fn service_with(more: impl FnOnce(&mut Settings)) -> Service {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let file = directory.path().join("test.db");
    settings.database.url = format!("sqlite://{}?mode=rwc", file.display()).into();
    settings.auth.api_tokens = vec!["older-token".into(), API.into()];
    settings.auth.admin_tokens = vec![ADMIN.into()];
    more(&mut settings);
    let store = Store::connect(&settings.database).await.unwrap();
    store.migrate().await.unwrap();
    let watch = || {
        VendorWatch::new(
            || Some(chrono::Utc::now()),
            || None,
            || false,
            || Box::pin(async { Ok(()) }),
        )
    };
    let dependencies = Dependencies {
        clock: Arc::new(chrono::Utc::now),
        health: Health {
            platforms: [("cloudflare", watch())].into(),
            agora: watch(),
            budgets: Arc::new(Vec::new),
            alarm_codes: Vec::new(),
        },
        viewers: Viewers::none(),
        platforms: platforms(&settings),
        egresses: Egresses::of_settings(
            &settings,
            &Agora::new(&settings.agora, &settings.vendors, &Lease::for_good()).unwrap(),
            None,
        ),
        node: "test".to_owned(),
        pages: relaykeeper::console::pages(&[]),
    };
    let api = Api::new(
        &settings,
        idle(&settings, &store),
        store.clone(),
        dependencies,
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let running = Arc::clone(&api);
    std::thread::spawn(move || {
        let server = actix_web::rt::System::new().block_on(async {
            server(listener, running, Duration::from_secs(1), 2, None)
                .unwrap()
                .await
        });
        server.unwrap();
    });
    let client = console::client();
    Service {
        api,
        store,
        base,
        client,
        _directory: directory,
    }
}

fn platforms(settings: &Settings) -> Platforms {
    let runtime = tokio::runtime::Handle::current();
    Platforms::of_settings(settings, &runtime, &Lease::for_good(), None).unwrap()
}

/// A process that never holds the database.
fn idle(settings: &Settings, store: &Store) -> RelayService {
    let runtime = tokio::runtime::Handle::current();
    let settings = Arc::new(settings.clone());
    let platforms = platforms(&settings);
    let lease = Lease::for_good();
    let vendors =
        VendorClients::new(Arc::clone(&settings), runtime.clone(), lease, platforms).unwrap();
    let cluster = Cluster::on(store.clone());
    let context = NodeContext::new(settings, cluster, Arc::new(vendors), runtime);
    NodeRunner::new(context).service()
}

pub(crate) async fn service() -> Service {
    service_with(|_| {}).await
}

impl Service {
    pub(crate) fn anonymous(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(API)
    }

    pub(crate) fn start(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request("POST", "/v1/channels/42/start").body(body)
    }
}

pub(crate) async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let answer = request.send().await.unwrap();
    let url = answer.url().clone();
    assert_eq!(
        answer.headers()["content-type"],
        "application/problem+json",
        "{url}"
    );
    let id = header(&answer, "x-request-id");
    assert_eq!(answer.status(), status, "{url}");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], code, "{url}: {body}");
    assert_eq!(body["type"], format!("urn:relaykeeper:problem:{code}"));
    assert_eq!(body["status"], status);
    assert_eq!(body["instance"], url.path());
    assert_eq!(body["request_id"], id.as_str());
    assert!(body["title"].is_string() && body["detail"].is_string());
    body
}

pub(crate) fn header(answer: &Response, name: &str) -> String {
    let value = answer.headers().get(name);
    value
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}
