//! The rate budget follows the answers' headers.

use std::time::Duration;

use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::{Class, Done};
use tokio::time::Instant;
use wiremock::ResponseTemplate;

use super::support::*;

fn at() -> String {
    stream(&format!("/live_inputs/{UID}"))
}

fn by_header(value: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).insert_header("ratelimit", value)
}

#[tokio::test]
async fn what_an_earlier_process_used_is_counted_from_the_first_answer() {
    let server = answering("DELETE", &at(), by_header("\"default\";r=300;t=30")).await;
    let client = client(&server);
    assert_eq!(client.budget().quota, 960);
    delete(&client).await.unwrap();
    assert_eq!(client.budget().used, 900);
    assert_eq!(client.budget().left, 60);
    let error = delete(&client).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::RateLimited, Done::No));
    assert!(error.retry_after.unwrap() > Duration::from_secs(290));
    let stop = PermitRequest {
        priority: Priority::Stop,
        ..permit()
    };
    client.delete_live_input(stop, UID).await.unwrap();
    assert_eq!(
        calls(&server).await.len(),
        2,
        "the refused one was not sent"
    );
}

#[tokio::test]
async fn the_header_counts_on_refusals_too() {
    let answer = refused(403, 10000, "no").insert_header("ratelimit", "\"default\";r=700;t=30");
    let server = answering("DELETE", &at(), answer).await;
    let client = client(&server);
    delete(&client).await.unwrap_err();
    assert_eq!(client.budget().used, 500);
}

#[tokio::test]
async fn without_the_header_the_whole_budget_is_free() {
    let server = answering("DELETE", &at(), ResponseTemplate::new(200)).await;
    let client = client(&server);
    delete(&client).await.unwrap();
    assert_eq!(client.budget().left, 959);
}

#[tokio::test]
async fn the_first_call_goes_alone() {
    let slow = by_header("\"default\";r=1199;t=30").set_delay(Duration::from_millis(300));
    let server = answering("DELETE", &at(), slow).await;
    let client = client(&server);
    let calls = (0..10).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { delete(&client).await })
    });
    let calls: Vec<_> = calls.collect();
    let begin = Instant::now();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(
        begin.elapsed() >= Duration::from_millis(600),
        "one, then nine"
    );
    assert_eq!(client.budget().used, 10);
}

#[tokio::test]
async fn after_a_429_no_call_is_made_until_the_pause_ends() {
    let answer = refused(429, 10429, "Too many requests").insert_header("retry-after", "120");
    let server = answering("DELETE", &at(), answer).await;
    let client = client(&server);
    let error = delete(&client).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::RateLimited, Done::No));
    assert_eq!(error.retry_after, Some(Duration::from_secs(120)));
    let stop = PermitRequest {
        priority: Priority::Stop,
        ..permit()
    };
    let error = client.delete_live_input(stop, UID).await.unwrap_err();
    assert_eq!(error.class, Class::RateLimited);
    assert!(error.retry_after.unwrap() > Duration::from_secs(115));
    assert_eq!(calls(&server).await.len(), 1);
    let budget = client.clone().budget();
    assert!(budget.paused_for.unwrap() > Duration::from_secs(115));
    assert_eq!(budget.left, 0);
}

#[tokio::test]
async fn an_excessive_wait_pauses_calls_for_five_minutes_at_most() {
    let most = Duration::from_secs(300);
    for (status, header, value) in [
        (429, "retry-after", "4294967295"),
        (429, "retry-after", "18446744073709551615"),
        (429, "ratelimit", "\"default\";r=0;t=4294967295"),
        (200, "ratelimit", "\"default\";r=0;t=4294967295"),
    ] {
        let answer = ResponseTemplate::new(status).insert_header(header, value);
        let server = answering("DELETE", &at(), answer).await;
        let client = client(&server);
        let told = delete(&client).await;
        if let Err(error) = told {
            assert_eq!(error.retry_after, Some(most), "{value}");
        }
        let paused = client.budget().paused_for.unwrap();
        assert!(paused > most / 2 && paused <= most, "{value}: {paused:?}");
    }
}

#[tokio::test]
async fn a_429_without_retry_after_is_waited_out_until_its_ratelimit_resets() {
    let answer = ResponseTemplate::new(429).insert_header("ratelimit", "\"default\";r=0;t=77");
    let server = answering("DELETE", &at(), answer).await;
    let error = delete(&client(&server)).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(77)));
}
