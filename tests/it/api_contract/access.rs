//! Authentication, methods and headers.

use reqwest::header::{ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};

use super::service::{ADMIN, API, Service, header, problem, service, service_with};
use crate::support::console::csrf_token;

const V1: &str = "/v1/relays";

#[tokio::test]
async fn without_a_token_and_with_a_wrong_one_nothing_under_v1_and_admin_answers() {
    let service = service().await;
    for path in [V1, "/v1/health", "/v1/nowhere", "/admin/actors", "/admin"] {
        let answer = service.anonymous("GET", path).send().await.unwrap();
        assert!(
            header(&answer, WWW_AUTHENTICATE.as_str()).starts_with("Bearer"),
            "{path}"
        );
        problem(service.anonymous("GET", path), 401, "unauthorized").await;
        for wrong in [
            "Bearer wrong",
            "Bearer ",
            "Bearer",
            "Basic YTpi",
            "api-token",
            "Bearer api-token2",
        ] {
            let request = service.anonymous("GET", path).header(AUTHORIZATION, wrong);
            problem(request, 401, "unauthorized").await;
        }
    }
    problem(service.anonymous("DELETE", V1), 401, "unauthorized").await;
}

#[tokio::test]
async fn each_token_reaches_as_far_as_its_scope() {
    let service = service().await;
    for token in [API, "older-token", ADMIN] {
        let answer = service
            .anonymous("GET", V1)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{token}");
    }
    let lower = service
        .anonymous("GET", V1)
        .header(AUTHORIZATION, "bearer api-token");
    assert_eq!(lower.send().await.unwrap().status(), 200);
    problem(service.request("GET", "/admin/actors"), 403, "forbidden").await;
    let admin = service
        .anonymous("GET", "/admin/actors")
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    assert_eq!(admin.status(), 200);
    let body: serde_json::Value = admin.json().await.unwrap();
    assert_eq!(
        body,
        serde_json::json!({"actors": [], "total": 0, "next_cursor": null})
    );
}

#[tokio::test]
async fn a_browser_without_a_token_is_redirected_to_the_sign_in() {
    let service = service().await;
    let browse = |path| {
        service
            .anonymous("GET", path)
            .header("accept", "text/html,*/*;q=0.8")
    };
    let answer = browse("/admin/actors").send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(header(&answer, "location"), "/admin/sign-in");
    let form = browse("/admin/sign-in").send().await.unwrap();
    assert_eq!(form.status(), 200);
    problem(browse("/admin/actors").bearer_auth(API), 403, "forbidden").await;
    problem(browse(V1), 401, "unauthorized").await;
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let service = service().await;
    let with = |id: &str| {
        service
            .request("GET", V1)
            .header("x-request-id", id.to_owned())
    };
    let answer = with("order-7.retry_2").send().await.unwrap();
    assert_eq!(header(&answer, "x-request-id"), "order-7.retry_2");
    for odd in ["has space", "semi;colon", &"x".repeat(129)] {
        let answer = with(odd).send().await.unwrap();
        assert_eq!(header(&answer, "x-request-id").len(), 36);
    }
    let problem = problem(
        service.anonymous("GET", V1).header("x-request-id", "mine"),
        401,
        "unauthorized",
    )
    .await;
    assert_eq!(problem["request_id"], "mine");
}

#[tokio::test]
async fn an_unsupported_method_is_refused_with_the_allowed_ones() {
    let service = service().await;
    let routes = [
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/v1/channels/42/start", "POST"),
        ("/v1/channels/42/stop", "POST"),
        ("/v1/channels/42", "GET, HEAD"),
        ("/v1/channels/42/playback", "GET, HEAD"),
        ("/v1/channels/42/relays", "GET, HEAD"),
        ("/v1/relays", "GET, HEAD"),
        (
            "/v1/relays/0192f0c4-0000-7000-8000-000000000001",
            "GET, HEAD",
        ),
        (
            "/v1/relays/0192f0c4-0000-7000-8000-000000000001/events",
            "GET, HEAD",
        ),
        (
            "/v1/relays/0192f0c4-0000-7000-8000-000000000001/recordings",
            "GET, HEAD",
        ),
        ("/v1/costs", "GET, HEAD"),
        ("/v1/health", "GET, HEAD"),
        ("/admin/actors", "GET, HEAD"),
        (
            "/admin/relays/0192f0c4-0000-7000-8000-000000000001/stop",
            "POST",
        ),
        ("/recorder", "GET, HEAD"),
        ("/recorder/page.js", "GET, HEAD"),
        ("/recorder/token", "POST"),
        ("/recorder/presence", "POST"),
        ("/webhooks/cloudflare/live", "POST"),
        ("/webhooks/cloudflare/stream", "POST"),
        ("/webhooks/agora", "POST"),
    ];
    for (path, allowed) in routes {
        for method in ["DELETE", "PUT", "PATCH", "OPTIONS"] {
            let request = service.anonymous(method, path).bearer_auth(ADMIN);
            let answer = request.try_clone().unwrap().send().await.unwrap();
            assert_eq!(header(&answer, ALLOW.as_str()), allowed, "{method} {path}");
            problem(request, 405, "method-not-allowed").await;
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_anywhere() {
    let service = service().await;
    for path in [
        "/",
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/relays/",
        "/admin/nowhere",
        "/recorder/x",
        "/webhooks",
    ] {
        let request = service.anonymous("GET", path).bearer_auth(ADMIN);
        problem(request, 404, "not-found").await;
    }
}

#[tokio::test]
async fn probes_need_no_token_and_distinguish_starting_from_draining() {
    let service = service().await;
    let live = service.anonymous("GET", "/livez").send().await.unwrap();
    assert_eq!(live.status(), 200);
    let head = service.anonymous("HEAD", "/livez").send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.text().await.unwrap()),
        (200, String::new())
    );
    let answer = service.anonymous("GET", "/readyz").send().await.unwrap();
    assert!(!header(&answer, RETRY_AFTER.as_str()).is_empty());
    problem(service.anonymous("GET", "/readyz"), 503, "starting").await;
    service.api.drain();
    problem(service.anonymous("GET", "/readyz"), 503, "shutting-down").await;
    assert_eq!(
        service
            .anonymous("GET", "/livez")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_path_with_extra_slashes_is_answered_with_the_right_one() {
    let service = service().await;
    for (method, path, right) in [
        ("POST", "/v1/channels/42/start/", "/v1/channels/42/start"),
        ("GET", "/v1/relays/", "/v1/relays"),
        ("GET", "/v1//relays", "/v1/relays"),
        ("GET", "/admin/", "/admin"),
        ("GET", "/livez/", "/livez"),
        ("POST", "/webhooks/agora/", "/webhooks/agora"),
    ] {
        let request = service.anonymous(method, path).bearer_auth(ADMIN);
        let refused = problem(request, 404, "not-found").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.ends_with(&format!(" {right}.")), "{path}: {detail}");
    }
    let nowhere = service.anonymous("GET", "/v1/nowhere/").bearer_auth(ADMIN);
    let refused = problem(nowhere, 404, "not-found").await;
    assert_eq!(refused["detail"], "There is no such route.");
}

/// Signs in as an operator and returns the `Set-Cookie` value.
async fn sign_in(service: &Service) -> String {
    let sign_in = service.anonymous("POST", "/admin/sign-in");
    let signed_in = sign_in.body(format!("token={ADMIN}")).send().await.unwrap();
    header(&signed_in, "set-cookie").to_owned()
}

/// The cookie opens the console; its value under the name used without HTTPS does not.
async fn assert_only_cookie_read(service: &Service, cookie: &str, value: &str) {
    for (cookie, status) in [
        (cookie.to_owned(), 200),
        (format!("relaykeeper_session={value}"), 401),
    ] {
        let get = service.anonymous("GET", "/admin/actors");
        let answer = get.header("Cookie", &cookie).send().await.unwrap();
        assert_eq!(answer.status(), status, "{cookie}");
    }
}

#[tokio::test]
async fn behind_an_https_public_url_the_session_is_a_secure_cookie_of_this_host_alone() {
    let service = service_with(|settings| {
        settings.server.public_url = "https://relay.example".into();
    })
    .await;
    let cookie = sign_in(&service).await;
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    assert!(
        cookie.contains("; Secure") && cookie.contains("; Path=/;"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let value = cookie.split_once('=').unwrap().1;
    assert_only_cookie_read(&service, cookie, value).await;
}

#[tokio::test]
async fn over_the_services_own_tls_only_the_secure_cookie_is_read() {
    let service = service_with(|settings| {
        settings.server.tls_certificate = "chain.pem".into();
    })
    .await;
    let cookie = sign_in(&service).await;
    let cookie = cookie.split(';').next().unwrap();
    let value = cookie.strip_prefix("__Host-relaykeeper_session=").unwrap();
    assert_only_cookie_read(&service, cookie, value).await;
}

#[tokio::test]
async fn a_sign_out_ends_every_session_of_the_request_and_clears_both_cookies() {
    let service = service().await;
    let mut values = Vec::new();
    for _ in 0..2 {
        let cookie = sign_in(&service).await;
        let cookie = cookie.split(';').next().unwrap();
        values.push(cookie.split_once('=').unwrap().1.to_owned());
    }
    let (first, second) = (&values[0], &values[1]);
    let both = format!("relaykeeper_session={first}; __Host-relaykeeper_session={second}");
    let page = service.anonymous("GET", "/admin").header("Cookie", &both);
    let page = page.send().await.unwrap().text().await.unwrap();
    let csrf = csrf_token(&page);
    let out = service.anonymous("POST", "/admin/sign-out");
    let out = out.header("Cookie", &both).body(format!("csrf={csrf}"));
    let out = out.send().await.unwrap();
    assert_eq!(out.status(), 303);
    let cleared: Vec<_> = out.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cleared.len(), 2, "{cleared:?}");
    for value in [first, second] {
        let get = service.anonymous("GET", "/admin/actors");
        let get = get.header("Cookie", format!("relaykeeper_session={value}"));
        assert_eq!(get.send().await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn the_documentation_is_open_compressed_and_limited_to_this_service() {
    let service = service().await;
    let ask = |path: &str| {
        let request = service.anonymous("GET", path);
        request.header("accept-encoding", "gzip").send()
    };
    let page = ask("/docs").await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(header(&page, "content-encoding"), "gzip");
    let policy = header(&page, "content-security-policy");
    let allowed: Vec<&str> = policy.split("; ").collect();
    assert_eq!(
        allowed,
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'unsafe-inline'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    );
    let script = ask("/docs/openapi-explorer.js?2.4.820").await.unwrap();
    assert_eq!(script.status(), 200);
    assert_eq!(header(&script, "content-encoding"), "gzip");
    assert_eq!(header(&script, "vary"), "Accept-Encoding");
    assert!(header(&script, "cache-control").ends_with("immutable"));
    assert!(header(&script, "ratelimit").starts_with("\"address\""));
    let script = script.bytes().await.unwrap();
    assert!(script.len() < 250_000, "{}", script.len());
}
