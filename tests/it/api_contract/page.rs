//! The recorder's page and its two endpoints: only a signed link opens them.

use relaykeeper::config::Settings;
use relaykeeper::vendors::agora::page::{Links, PageClaims, Ready};
use secrecy::ExposeSecret as _;
use serde_json::json;
use uuid::Uuid;

use super::service::{header, pointers, problem, service, service_with};

fn with_a_page(settings: &mut Settings) {
    settings.server.public_url = "https://relay.example".into();
    settings.agora.app_id = "970CA35de60c44645bbae8a215061b33".into();
    settings.agora.app_certificate = "5CFd2fd1755d40ecb72977518be15d3b".into();
}

fn query() -> String {
    let mut settings = Settings::default();
    with_a_page(&mut settings);
    let links = Links::new(&settings.agora, &settings.server.public_url).unwrap();
    let claims = PageClaims {
        relay: Uuid::from_u128(7),
        channel: "a&b".into(),
        seller_uid: 12345,
        attempt: 1,
    };
    let link = links.link(&claims, Ready::FirstFrame);
    link.expose_secret().split_once('?').unwrap().1.to_owned()
}

#[tokio::test]
async fn a_link_that_was_not_signed_here_opens_nothing() {
    let service = service_with(with_a_page).await;
    let forged = query().replace("12345", "12346");
    for query in ["", "channel=x&relay=y", &forged] {
        problem(
            service.anonymous("GET", &format!("/recorder?{query}")),
            403,
            "forbidden",
        )
        .await;
        let body = json!({"query": query}).to_string();
        problem(
            service.anonymous("POST", "/recorder/token").body(body),
            403,
            "forbidden",
        )
        .await;
        let body = json!({"query": query, "present": true, "seq": 1}).to_string();
        problem(
            service.anonymous("POST", "/recorder/presence").body(body),
            403,
            "forbidden",
        )
        .await;
    }
}

#[tokio::test]
async fn a_process_that_does_not_act_answers_the_recorders_page_503() {
    let service = service_with(with_a_page).await;
    let query = query();
    problem(
        service.anonymous("GET", &format!("/recorder?{query}")),
        503,
        "starting",
    )
    .await;
    let body = json!({"query": query, "uid": 3_000_000_001_u32}).to_string();
    problem(
        service.anonymous("POST", "/recorder/token").body(body),
        503,
        "starting",
    )
    .await;
    let body = json!({"query": query, "present": false, "seq": 1}).to_string();
    problem(
        service.anonymous("POST", "/recorder/presence").body(body),
        503,
        "starting",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_the_page_does_not_send_is_refused_and_not_quoted() {
    let service = service_with(with_a_page).await;
    for path in ["/recorder/token", "/recorder/presence"] {
        for body in [
            "",
            "{}",
            "[]",
            "{\"query\":\"canary\",\"more\":1}",
            "{\"query\":\"canary\",\"uid\":-1}",
            "{\"query\":\"canary\",\"query\":\"canary\"}",
        ] {
            let refused = problem(
                service.anonymous("POST", path).body(body),
                400,
                "invalid-request",
            )
            .await;
            assert!(!refused.to_string().contains("canary"), "{refused}");
        }
    }
}

/// A report with a lower number than an earlier one is ignored.
#[tokio::test]
async fn a_report_whose_number_is_far_ahead_of_the_clock_is_refused() {
    let service = service_with(with_a_page).await;
    let now = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap();
    let report = |seq: u64| {
        let body = json!({"query": query(), "present": true, "seq": seq}).to_string();
        service.anonymous("POST", "/recorder/presence").body(body)
    };
    for ahead in [now + 600_000, 9_007_199_254_740_991, u64::MAX] {
        let refused = problem(report(ahead), 422, "invalid-request").await;
        assert_eq!(pointers(&refused), ["/seq"]);
    }
    for taken in [1, now, now + 60_000] {
        problem(report(taken), 503, "starting").await;
    }
}

#[tokio::test]
async fn a_report_has_either_the_presence_or_the_reason_why_it_is_unknown() {
    let service = service_with(with_a_page).await;
    let report = |fields: serde_json::Value| {
        let mut body = json!({"query": query(), "seq": 1});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        service
            .anonymous("POST", "/recorder/presence")
            .body(body.to_string())
    };
    for fields in [json!({"present": false}), json!({"cannot_join": "timeout"})] {
        problem(report(fields), 503, "starting").await;
    }
    for fields in [json!({}), json!({"present": true, "cannot_join": "no_sdk"})] {
        problem(report(fields), 422, "invalid-request").await;
    }
    let unknown = report(json!({"cannot_join": "bored"}));
    problem(unknown, 400, "invalid-request").await;
}

#[tokio::test]
async fn a_service_that_cannot_sign_links_has_no_page() {
    let service = service().await;
    problem(
        service.anonymous("GET", "/recorder?sig=x"),
        404,
        "not-found",
    )
    .await;
    let body = json!({"query": "x"}).to_string();
    problem(
        service.anonymous("POST", "/recorder/token").body(body),
        404,
        "not-found",
    )
    .await;
}

#[tokio::test]
async fn the_pages_script_is_served_and_not_cached() {
    let service = service_with(with_a_page).await;
    let answer = service
        .anonymous("GET", "/recorder/page.js")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(header(&answer, "content-type").starts_with("text/javascript"));
    assert_eq!(header(&answer, "cache-control"), "no-store");
    assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
}
