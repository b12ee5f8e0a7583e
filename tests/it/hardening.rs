//! Rate limits, timeouts, CORS, headers and TLS.
#![cfg(feature = "sandbox")]

mod connections;
mod memory;
mod strays;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::console;
use crate::support::database::TestDatabase;
use crate::support::service::{Answer, PATIENCE, Service, Stage, options, settings, show};
use relaykeeper::application::Application;
use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::{Certificate, Method};
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
async fn requests_without_a_valid_token_are_limited_by_address_and_others_are_not() {
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

/// Returns the status. An HTTP client would normalize the path.
async fn status_of(stage: &Stage, line: &str, headers: &str) -> String {
    let head = format!("{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{headers}\r\n");
    let answer = unfinished(stage, &head).await;
    answer.get(9..12).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn another_spelling_of_a_path_is_limited_like_the_path() {
    let stage = stage(|settings| settings.server.requests_per_second = 3).await;
    let token = format!(
        "authorization: Bearer {}\r\n",
        crate::support::service::API_TOKEN
    );
    for path in [
        "/%761/relays",
        "/v%31/relays",
        "/%74rpc/streaming.healthCheck",
    ] {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = format!("GET {path}");
            let all = (0..8).map(|_| status_of(&stage, &line, &token));
            let all = futures_util::future::join_all(all).await;
            if all.iter().any(|status| status == "429") {
                break;
            }
            assert!(all.iter().all(|status| status == "200"), "{path}: {all:?}");
            assert!(Instant::now() < deadline, "{path} is never limited");
        }
    }
    let metrics = stage.service.as_admin(Method::GET, "/metrics");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("route=\"/v1/relays\""), "{metrics}");
}

#[tokio::test]
async fn wrong_tokens_from_everywhere_keep_no_operator_out() {
    let stage = stage(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    })
    .await;
    let client = console::client();
    let sign_in = |token: &str, from: String| {
        let post = client.post(format!("{}/admin/sign-in", stage.service.url));
        let post = post.header("x-forwarded-for", from);
        Answer::to(post.body(format!("token={token}")))
    };
    // A /64 of IPv6 counts as one address.
    for host in 0..10 {
        let wrong = sign_in("wrong", format!("2001:db8::{host}")).await;
        assert_eq!(wrong.status, 401);
    }
    let wrong = sign_in("wrong", "2001:db8::ffff:1".to_owned()).await;
    assert_eq!(wrong.status, 429);
    assert!(!wrong.header("retry-after").is_empty());
    for place in 0..200 {
        sign_in("wrong", format!("198.51.100.{place}")).await;
    }
    let wrong = sign_in("wrong", "203.0.113.1".to_owned()).await;
    assert_eq!(wrong.status, 429);
    for from in ["203.0.113.1", "2001:db8::1"] {
        let token = crate::support::service::ADMIN_TOKEN;
        let right = sign_in(token, from.to_owned()).await;
        assert_eq!(right.status, 303, "{from}");
    }
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_configured_proxies_only() {
    let stage = stage(|_| {}).await;
    let client = reqwest::Client::new();
    let sign_in = |place: u32| {
        let post = client.post(format!("{}/admin/sign-in", stage.service.url));
        let post = post.header("x-forwarded-for", format!("198.51.100.{place}"));
        Answer::to(post.body("token=wrong"))
    };
    for place in 0..10 {
        assert_eq!(sign_in(place).await.status, 401);
    }
    assert_eq!(sign_in(11).await.status, 429, "all came from one peer");
}

#[tokio::test]
async fn a_session_is_not_limited_by_strangers_at_its_address() {
    let stage = stage(|settings| settings.server.requests_per_second = 1000).await;
    let client = console::client();
    let sign_in = || {
        let post = client.post(format!("{}/admin/sign-in", stage.service.url));
        Answer::to(post.body(format!("token={}", crate::support::service::ADMIN_TOKEN)))
    };
    let signed_in = sign_in().await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    let guess = || {
        let get = client.get(format!("{}/v1/relays", stage.service.url));
        Answer::to(get.bearer_auth("a-guess"))
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let guesses = futures_util::future::join_all((0..32).map(|_| guess())).await;
        if guesses.iter().any(|answer| answer.status == 429) {
            break;
        }
        assert!(Instant::now() < deadline, "never stopped");
    }
    let get = client.get(format!("{}/v1/relays", stage.service.url));
    let read = Answer::to(get.header("cookie", cookie)).await;
    assert_eq!(read.status, 200);
    assert_eq!(sign_in().await.status, 303);
}

#[tokio::test]
async fn http_1_0_callers_get_no_chunks() {
    let stage = stage(|_| {}).await;
    let token = crate::support::service::API_TOKEN;
    let ask = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.0\r\nauthorization: Bearer {token}\r\n{more}\r\n")
    };
    let batch = "/trpc/streaming.healthCheck,streaming.healthCheck?batch=1";
    let lines = ask(batch, "trpc-accept: application/jsonl\r\n");
    for (request, body) in [
        (lines.clone(), "{\"0\":[["),
        (
            lines.replace("\r\n\r\n", "\r\nconnection: keep-alive\r\n\r\n"),
            "{\"0\":[[",
        ),
        (ask("/openapi.json", ""), "{"),
        (ask("/docs", ""), "<!doctype html>"),
        (ask("/metrics", "host: localhost\r\n"), "#"),
    ] {
        let answer = unfinished(&stage, &request).await;
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert!(rest.to_lowercase().starts_with(body), "{answer:.300}");
    }
    let address = stage.service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = ask("/v1/events?last_event_id=0", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"id: 0\n\n") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap().unwrap(), 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(rest.starts_with("retry: "), "{answer}");
}

/// Sends this and nothing more, and reads until the connection is closed.
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
    let token = crate::support::service::API_TOKEN;
    let body = format!(
        "POST /v1/channels/42/start HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"channel"
    );
    // The framework's own timeout may come first; its response is not a problem document.
    let body = unfinished(&stage, &body).await;
    let refused = body.starts_with("HTTP/1.1 408") || body.contains("did not arrive in time");
    assert!(refused, "{body}");
}

#[tokio::test]
async fn other_origins_are_allowed_only_if_the_settings_name_them() {
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
            "authorization,baggage,idempotency-key,sentry-trace,traceparent,tracestate",
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
async fn every_response_has_security_headers() {
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

fn write_certificate(folder: &Path) -> Certificate {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let fresh = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join("key.pem"), fresh.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("chain.pem"), fresh.cert.pem()).unwrap();
    Certificate::from_pem(fresh.cert.pem().as_bytes()).unwrap()
}

/// Reads `/livez`; `None` if the connection fails.
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
    let vendors = SimulatedVendors::start(options()).unwrap();
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
