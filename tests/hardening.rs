//! What the service does about callers who ask too much, too slowly, from elsewhere, or over TLS.
#![cfg(feature = "sandbox")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "hardening/connections.rs"]
mod connections;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use relaykeeper::application::Application;
use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::Vendors;
use reqwest::{Certificate, Method};
use support::database::TestDatabase;
use support::service::{Answer, PATIENCE, Service, Stage, options, settings, show};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn stage(change: impl FnOnce(&mut Settings)) -> Stage {
    Stage::with(AgoraBackend::CloudRecording, options(), change).await
}

#[tokio::test]
async fn a_token_that_calls_too_often_waits_and_no_other_does() {
    let stage = stage(|settings| settings.server.requests_per_second = 3).await;
    let read = || Answer::to(stage.service.request(Method::GET, "/v1/relays"));
    let mut left = Vec::new();
    let refused = loop {
        let answer = read().await;
        assert_eq!(answer.header("ratelimit-policy"), "\"token\";q=3;w=1");
        if answer.status == 429 {
            break answer;
        }
        left.push(answer.header("ratelimit").to_owned());
        assert!(left.len() < 100, "never refused: {left:?}");
    };
    assert_eq!(left[0], "\"token\";r=2;t=1");
    assert!(left.len() >= 3, "{left:?}");
    refused.is_problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"token\";r=0;t=1");

    let admin = stage.service.as_admin(Method::GET, "/v1/relays");
    assert_eq!(Answer::to(admin).await.status, 200);
    for _ in 0..10 {
        let probe = Answer::to(stage.service.request(Method::GET, "/livez")).await;
        assert_eq!((probe.status, probe.header("ratelimit")), (200, ""));
    }
    // Writes count as reads do.
    while read().await.status != 429 {}
    let start = stage
        .service
        .post("/v1/channels/42/start", &[], &show("late"))
        .await;
    start.is_problem(429, "rate-limited");
    while read().await.status != 429 {}
    let query = stage
        .service
        .request(Method::GET, "/trpc/streaming.healthCheck");
    let query = Answer::to(query).await;
    assert_eq!((query.status, query.header("retry-after")), (429, "1"));
    assert_eq!(query.body["error"]["data"]["code"], "TOO_MANY_REQUESTS");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(read().await.status, 200);
}

#[tokio::test]
async fn who_shows_no_known_token_is_stopped_by_address_and_who_does_is_not() {
    let stage = stage(|_| {}).await;
    let client = reqwest::Client::new();
    let guess = || {
        let url = format!("{}/v1/relays", stage.service.url);
        Answer::to(client.get(url).bearer_auth("a-guess"))
    };
    guess().await.is_problem(401, "unauthorized");
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        let guesses = futures_util::future::join_all((0..32).map(|_| guess())).await;
        if let Some(refused) = guesses.into_iter().find(|answer| answer.status != 401) {
            break refused;
        }
        assert!(Instant::now() < deadline, "never stopped");
    };
    refused.is_problem(429, "rate-limited");
    assert_eq!(
        refused.header("ratelimit-policy"),
        "\"address\";q=1000;w=10"
    );
    let known = Answer::to(stage.service.request(Method::GET, "/v1/relays")).await;
    assert_eq!(known.status, 200);
    assert!(known.header("ratelimit").starts_with("\"token\""));
}

/// What comes back for a request that is sent piece by piece and never finished.
async fn unfinished(stage: &Stage, head: &str) -> String {
    let address = stage.service.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("it is hung up")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_does_not_arrive_in_time_is_hung_up_on() {
    let stage =
        stage(|settings| settings.server.request_timeout = Duration::from_millis(300)).await;
    let head = unfinished(&stage, "GET /livez HTTP/1.1\r\nhost: here\r\nx-slow: ").await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    let token = support::service::API_TOKEN;
    let body = format!(
        "POST /v1/channels/42/start HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"channel"
    );
    // The framework's own limit may be the quicker one: then there is no problem to read.
    let body = unfinished(&stage, &body).await;
    let refused = body.starts_with("HTTP/1.1 408") || body.contains("did not arrive in time");
    assert!(refused, "{body}");
}

#[tokio::test]
async fn other_origins_are_let_in_only_if_the_settings_name_them() {
    let closed = stage(|_| {}).await;
    let from = |stage: &Stage, origin: &'static str| {
        let request = stage.service.request(Method::GET, "/v1/relays");
        request.header("origin", origin)
    };
    let answer = Answer::to(from(&closed, "https://shop.example")).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "")
    );

    let origin = "https://shop.example";
    let open = stage(|settings| settings.server.cors_origins = vec![origin.to_owned()]).await;
    let answer = Answer::to(from(&open, origin)).await;
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    let other = Answer::to(from(&open, "https://other.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let preflight = |origin| {
        let url = format!("{}/v1/channels/42/start", open.service.url);
        let request = reqwest::Client::new().request(Method::OPTIONS, url);
        let request = request.header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        Answer::to(request.header(
            "access-control-request-headers",
            "authorization,idempotency-key",
        ))
    };
    let allowed = preflight(origin).await;
    assert_eq!(
        (
            allowed.status,
            allowed.header("access-control-allow-origin")
        ),
        (200, origin)
    );
    assert!(
        allowed
            .header("access-control-allow-methods")
            .contains("POST")
    );
    let refused = preflight("https://other.example").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn every_answer_tells_a_browser_to_be_careful() {
    let stage = stage(|_| {}).await;
    for path in ["/livez", "/v1/relays", "/v1/nowhere", "/nowhere"] {
        let answer = Answer::to(stage.service.request(Method::GET, path)).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        assert_eq!(answer.header("strict-transport-security"), "");
    }
}

/// Writes a new certificate for this machine, and returns it as a root to trust.
fn write_certificate(folder: &Path) -> Certificate {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let fresh = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join("key.pem"), fresh.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("chain.pem"), fresh.cert.pem()).unwrap();
    Certificate::from_pem(fresh.cert.pem().as_bytes()).unwrap()
}

/// The answer of `/livez` to a caller who trusts this root alone; none when the connection is refused.
async fn over_tls(service: &Service, root: &Certificate) -> Option<reqwest::Response> {
    let url = service.url.replace("http://", "https://");
    let client = reqwest::Client::builder()
        .tls_certs_only([root.clone()])
        .build()
        .unwrap();
    client.get(format!("{url}/livez")).send().await.ok()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let first = write_certificate(folder.path());
    let vendors = Vendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
    settings.server.shutdown_grace = Duration::from_millis(200);
    settings.server.tls_certificate = folder.path().join("chain.pem");
    settings.server.tls_key = folder.path().join("key.pem");
    let service = Service::start_unready(settings.clone());

    let answer = over_tls(&service, &first)
        .await
        .expect("an answer over TLS");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["strict-transport-security"],
        "max-age=31536000"
    );
    let plain = reqwest::get(format!("{}/livez", service.url)).await;
    assert!(plain.is_err(), "nothing is answered without TLS");

    std::fs::write(folder.path().join("key.pem"), "half a key").unwrap();
    let second = write_certificate(folder.path());
    assert!(
        over_tls(&service, &first).await.is_some() || over_tls(&service, &second).await.is_some()
    );
    let deadline = Instant::now() + PATIENCE;
    while over_tls(&service, &second).await.is_none() {
        assert!(
            Instant::now() < deadline,
            "the new certificate is never shown"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        over_tls(&service, &first).await.is_none(),
        "the old one is gone"
    );

    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    settings.server.port = 0;
    let refused = Application::build(settings).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("server.tls_key"),
        "{refused:#}"
    );
}
