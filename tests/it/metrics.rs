//! `docs/metrics.md`, the dashboard, the alert rules and `/metrics` have the same metrics.
#![cfg(feature = "sandbox")]

use std::collections::{BTreeMap, BTreeSet};

use crate::support::service::{Answer, Stage, show};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use relaykeeper::telemetry::metrics::ALL;
use reqwest::Method;

const DOCUMENT: &str = include_str!("../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../docs/grafana.json");
const RULES: &str = include_str!("../../docs/alerts.yml");

fn documented() -> BTreeMap<&'static str, (&'static str, &'static str, &'static str)> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .strip_prefix("| `")?
            .split('|')
            .map(str::trim)
            .collect();
        let [name, kind, labels, meaning, ""] = *cells else {
            panic!("a row with other columns: {line}");
        };
        Some((name.trim_end_matches('`'), (kind, labels, meaning)))
    });
    rows.collect()
}

/// Without the suffixes of histogram series.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours =
        words.filter(|word| word.starts_with("relaykeeper_") || word.starts_with("process_"));
    let known = documented();
    ours.map(|word| {
        let series = ["_bucket", "_sum", "_count"];
        let base = series.iter().find_map(|suffix| word.strip_suffix(suffix));
        base.filter(|base| known.contains_key(base)).unwrap_or(word)
    })
    .collect()
}

#[test]
fn the_document_describes_each_metric_as_the_program_does() {
    let mut documented = documented();
    for metric in ALL {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let row = documented.remove(metric.name);
        let expected = (metric.kind.to_string(), labels.join(", "), metric.help);
        let (kind, labels, help) = row.unwrap_or_else(|| panic!("{} is not there", metric.name));
        assert_eq!(
            (kind.to_owned(), labels.to_owned(), help),
            expected,
            "{}",
            metric.name
        );
    }
    let others: Vec<_> = documented
        .keys()
        .filter(|name| !name.starts_with("process_"))
        .collect();
    assert!(others.is_empty(), "the program does not have {others:?}");
}

#[test]
fn the_dashboard_and_the_alert_rules_use_existing_metrics() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 8);
    let known = documented();
    for text in [DASHBOARD, RULES] {
        let used = named(text);
        assert!(used.len() > 5, "{used:?}");
        for name in used {
            assert!(known.contains_key(name), "{name} does not exist");
        }
    }
}

async fn scrape(stage: &Stage) -> BTreeMap<String, f64> {
    let url = format!("{}/metrics", stage.service.url);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text().await.unwrap();
    let series = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    series
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Needs a process of its own, since metrics are global.
#[tokio::test]
async fn a_relay_changes_the_metrics_and_every_documented_one_is_rendered() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let before = scrape(&stage).await;
    assert_eq!(before["relaykeeper_ready"], 1.0);
    assert_eq!(before["relaykeeper_starts_total"], 0.0);
    assert_eq!(
        before["relaykeeper_outcomes_total{outcome=\"seller_left\"}"],
        0.0
    );

    for call in [VendorCall::LiveInputCreate, VendorCall::Acquire] {
        stage.vendors.fault(VendorFault {
            call,
            kind: FaultKind::NotJson,
            times: Some(1),
            after: 0,
        });
    }
    stage.service.go_live(42, &show("counted")).await;
    let live = scrape(&stage).await;
    assert_eq!(live["relaykeeper_relays{phase=\"live\"}"], 1.0);
    assert_eq!(live["relaykeeper_time_to_live_seconds_count"], 1.0);

    stage.service.come_down(42).await;
    let after = scrape(&stage).await;
    let sum = |name: &str| after[name];
    assert_eq!(sum("relaykeeper_relays{phase=\"live\"}"), 0.0);
    assert_eq!(sum("relaykeeper_starts_total"), 1.0);
    assert_eq!(sum("relaykeeper_start_duration_seconds_count"), 1.0);
    assert_eq!(
        sum("relaykeeper_outcomes_total{outcome=\"stopped_by_request\"}"),
        1.0
    );
    for (from, to) in [
        ("provisioning", "awaiting_live"),
        ("awaiting_live", "live"),
        ("live", "stopping"),
        ("stopping", "finalizing"),
        ("finalizing", "ended"),
    ] {
        let series = format!("relaykeeper_transitions_total{{from=\"{from}\",to=\"{to}\"}}");
        assert_eq!(sum(&series), 1.0, "{series}");
    }
    let entries = stage.count("SELECT COUNT(*) FROM relay_events").await;
    assert_eq!(sum("relaykeeper_journal_entries_total") as i64, entries);
    for (vendor, call) in [
        ("cloudflare", "live_inputs.create"),
        ("agora", "cloud_recording.acquire"),
    ] {
        for class in ["ok", "unexpected"] {
            let series = format!(
                "relaykeeper_vendor_calls_total{{vendor=\"{vendor}\",call=\"{call}\",class=\"{class}\"}}"
            );
            assert_eq!(sum(&series), 1.0, "{series}");
        }
    }
    assert!(sum("process_resident_memory_bytes") > 1e6);
    let start = "relaykeeper_http_requests_total{method=\"POST\",route=\"/v1/channels/{channel_id}/start\",status=\"201\"}";
    assert_eq!(sum(start), 1.0);

    let rendered: BTreeSet<_> = after
        .keys()
        .flat_map(|series| {
            let name = series.split('{').next().unwrap();
            named(name)
        })
        .collect();
    let documented: BTreeSet<_> = documented().into_keys().collect();
    assert_eq!(rendered, documented);
    who_may_scrape(&stage).await;
}

async fn who_may_scrape(stage: &Stage) {
    let through = |header| {
        let url = format!("{}/metrics", stage.service.url);
        reqwest::Client::new()
            .get(url)
            .header(header, "for=192.0.2.1")
    };
    for header in ["forwarded", "x-forwarded-for"] {
        let answer = Answer::to(through(header)).await;
        answer.is_problem(401, "unauthorized");
    }
    let answer = Answer::to(through("x-azure-clientip")).await;
    answer.is_problem(401, "unauthorized");
    // A proxy on the same machine that adds no header forwards its caller's `Host`.
    let named = |host: &str| {
        let get = reqwest::Client::new().get(format!("{}/metrics", stage.service.url));
        get.header("host", host).send()
    };
    assert_eq!(named("relay.example").await.unwrap().status(), 401);
    assert_eq!(named("localhost:8080").await.unwrap().status(), 200);
    let plain = reqwest::get(format!("{}/metrics", stage.service.url));
    assert_eq!(plain.await.unwrap().status(), 200);
    let scraped = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", "192.0.2.1");
    let marketplace = stage.service.request(Method::GET, "/metrics");
    Answer::to(scraped(marketplace))
        .await
        .is_problem(403, "forbidden");
    let operator = stage.service.as_admin(Method::GET, "/metrics");
    assert_eq!(Answer::to(scraped(operator)).await.status, 200);
}
