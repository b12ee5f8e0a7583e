//! The program's log.
#![cfg(feature = "sandbox")]

use crate::support::database::TestDatabase;
use crate::support::program::Program;
use crate::support::service::{options, show};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use serde_json::Value;

/// Modules that log only about relays.
const ABOUT_RELAYS: [&str; 4] = [
    "relaykeeper::actors::relay_actor",
    "relaykeeper::actors::calls",
    "relaykeeper::actors::cleanup_jobs",
    "relaykeeper::actors::forced_end",
];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Of the line, or of an enclosing span.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    let spans = line["spans"].as_array().into_iter().flatten();
    line.get(name)
        .or_else(|| spans.rev().find_map(|span| span.get(name)))
}

async fn log_of_a_relay(more: &[(&str, &str)]) -> (String, Vec<Value>) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let backend = AgoraBackend::CloudRecording;
    let mut program = Program::serve(&vendors, backend, &database.url, more);
    program.wait_until_ready().await;
    let service = &program.service;
    let start = service
        .request(Method::POST, "/v1/channels/42/start")
        .header("x-request-id", "the-start")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .json(&show("logged"));
    let relay: Value = start.send().await.unwrap().json().await.unwrap();
    service.in_phase(&relay, "live").await;
    service.come_down(42).await;
    program.terminate();
    let log = program.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line));
    (relay["id"].as_str().unwrap().to_owned(), lines.collect())
}

#[tokio::test]
async fn every_line_about_a_relay_names_it_its_channel_and_the_request_that_caused_it() {
    let (id, lines) = log_of_a_relay(&[
        ("RUST_LOG", "debug"),
        ("RELAYKEEPER__TELEMETRY__LOG_FORMAT", "json"),
    ])
    .await;
    let about = |line: &&Value| {
        let target = line["target"].as_str().unwrap();
        ABOUT_RELAYS.contains(&target) || line.to_string().contains(&id)
    };
    let mut count = 0;
    for line in lines.iter().filter(about) {
        assert_eq!(field(line, "relay_id").unwrap(), &id, "{line:#}");
        assert_eq!(field(line, "channel_id").unwrap(), 42, "{line:#}");
        count += 1;
    }
    assert!(count > 10, "{count} lines");
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // The vendor calls that brought the relay up belong to the start's trace.
    for (call, is_due_to_the_start) in [("live_inputs.create", true), ("live_inputs.delete", false)]
    {
        let answered = |line: &&Value| line["call"] == call && line["status"].is_u64();
        let answer = lines.iter().find(answered).expect(call);
        let request = field(answer, "request_id").filter(|request| *request == "the-start");
        assert_eq!(request.is_some(), is_due_to_the_start, "{answer:#}");
        let trace = field(answer, "trace_id").filter(|trace| *trace == TRACE);
        assert_eq!(trace.is_some(), is_due_to_the_start, "{answer:#}");
    }
}
