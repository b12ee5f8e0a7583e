//! The calls of a poll and the recordings that it finds, against a simulated Cloudflare.

use futures_util::future::join_all;
use serde_json::{Value, json};
use wiremock::matchers::{method, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::config;
use crate::vendors::lease::Lease;

/// The oldest made at this minute.
fn page_of_others(minute: usize) -> Vec<Value> {
    let others = (0..1000).map(|number| video(&format!("other-{minute}-{number}"), minute + 1));
    others
        .chain([video(&format!("oldest-{minute}"), minute)])
        .collect()
}

fn video(input: &str, minute: usize) -> Value {
    json!({
        "uid": format!("of-{input}"), "liveInput": input, "status": { "state": "ready" },
        "created": format!("2026-11-22T12:{minute:02}:00Z"),
    })
}

async fn answers(server: &MockServer, before: Option<&str>, videos: Vec<Value>) {
    let list = Mock::given(method("GET")).and(query_param("status", "ready"));
    let list = match before {
        Some(before) => list.and(query_param("before", before)),
        None => list.and(query_param_is_missing("before")),
    };
    list.respond_with(
        ResponseTemplate::new(200).set_body_json(
            json!({ "success": true, "errors": [], "messages": [], "result": videos }),
        ),
    )
    .mount(server)
    .await;
}

async fn answers_each(server: &MockServer) {
    Mock::given(method("GET"))
        .and(query_param_is_missing("status"))
        .respond_with(|request: &wiremock::Request| {
            let input = request.url.query_pairs().find(|(key, _)| key == "live_input_id");
            let videos = input.map(|(_, input)| video(&input, 0));
            ResponseTemplate::new(200).set_body_json(
                json!({ "success": true, "errors": [], "messages": [], "result": Vec::from_iter(videos) }),
            )
        })
        .mount(server)
        .await;
}

fn poller(server: &MockServer) -> RecordingsPoller {
    let settings = config::CloudflareSettings {
        account_id: "a".repeat(32),
        api_token: "token".to_owned().into(),
        api_base_url: server.uri(),
        customer_base_url: server.uri(),
        ..config::CloudflareSettings::default()
    };
    // The client needs one even without TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cloudflare = Cloudflare::new(
        &settings,
        &config::VendorsSettings::default(),
        &Lease::for_good(),
    );
    let here = tokio::runtime::Handle::current();
    RecordingsPoller::new(cloudflare.unwrap(), Duration::from_millis(1), here, None)
}

/// How many relays, started at this minute, one poll finds.
async fn found(poller: &RecordingsPoller, relays: std::ops::Range<usize>, minute: u32) -> usize {
    let since = chrono::NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
    let since = since.and_hms_opt(12, minute, 0).unwrap().and_utc();
    let inputs: Vec<_> = relays.map(|number| format!("relay-{number}")).collect();
    let polls = join_all(inputs.iter().map(|input| poller.poll(input, since))).await;
    let found = polls.into_iter().filter(|found| match found.as_deref() {
        Ok([one]) => one.uid.starts_with("of-relay-"),
        Ok(_) => false,
        Err(error) => panic!("{error}"),
    });
    found.count()
}

async fn lists_and_asks(server: &MockServer) -> (usize, usize) {
    let calls = server.received_requests().await.unwrap();
    let (lists, asks): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| {
        call.url
            .query()
            .is_some_and(|query| query.contains("status=ready"))
    });
    (lists.len(), asks.len())
}

#[tokio::test]
async fn further_pages_are_read_while_many_relays_may_be_beyond_the_end() {
    let server = MockServer::start().await;
    answers(&server, None, page_of_others(40)).await;
    let mut next = page_of_others(30);
    next.extend((0..18).map(|number| video(&format!("relay-{number}"), 35)));
    answers(&server, Some("2026-11-22T12:40:00Z"), next).await;
    answers_each(&server).await;
    assert_eq!(found(&poller(&server), 0..20, 31).await, 20);
    assert_eq!(lists_and_asks(&server).await, (2, 2), "two are asked for");
}

#[tokio::test]
async fn a_few_relays_beyond_the_end_are_asked_for_singly_and_no_others() {
    let server = MockServer::start().await;
    answers(&server, None, page_of_others(40)).await;
    answers_each(&server).await;
    let poller = poller(&server);
    assert_eq!(found(&poller, 0..20, 50).await, 0, "they have none yet");
    assert_eq!(lists_and_asks(&server).await, (1, 0));
    assert_eq!(found(&poller, 0..3, 30).await, 3);
    assert_eq!(lists_and_asks(&server).await, (2, 3));
}

#[tokio::test]
async fn one_poll_takes_ten_calls_at_most_and_the_next_polls_find_the_rest() {
    let server = MockServer::start().await;
    answers(&server, None, page_of_others(40)).await;
    // Cloudflare answers nothing older.
    answers(&server, Some("2026-11-22T12:40:00Z"), page_of_others(40)).await;
    answers_each(&server).await;
    let poller = poller(&server);
    assert_eq!(found(&poller, 0..20, 30).await, 8);
    assert_eq!(lists_and_asks(&server).await, (2, 8));
    assert_eq!(found(&poller, 20..30, 30).await, 8);
    assert_eq!(lists_and_asks(&server).await, (4, 16));
}

#[tokio::test]
async fn an_endless_list_leaves_calls_for_single_relays() {
    let server = MockServer::start().await;
    answers(&server, None, page_of_others(50)).await;
    for minute in [49, 48, 47, 46, 45, 44, 43] {
        let before = format!("2026-11-22T12:{:02}:00Z", minute + 1);
        answers(&server, Some(&before), page_of_others(minute)).await;
    }
    answers_each(&server).await;
    assert_eq!(found(&poller(&server), 0..20, 10).await, 5);
    assert_eq!(lists_and_asks(&server).await, (5, 5));
}
