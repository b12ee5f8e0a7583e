//! The time that the service adds to a start when a hundred channels start at once.
//!
//! The vendors' critical path is 900 ms: 400 ms (live input) beside 300 ms (`acquire`), then 500 ms (`start`). The added time is
//! from the request to the simulator's answer of `start`, less 900 ms; [`direct`](crate::direct) measures the simulator's part.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::direct;
use crate::results::{Part, Row, percentile, sorted};
use crate::service::{Service, Started, raised};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::vendors::{VendorsConfig, VendorsProcess};

const CREATE: u64 = 400;
const ACQUIRE: u64 = 300;
const START: u64 = 500;
const AT_ONCE: usize = 100;
/// For comparison: few enough to hardly wait for each other.
const FEW: usize = 10;

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let mut vendors = VendorsProcess::open(&VendorsConfig {
        create_ms: CREATE,
        acquire_ms: ACQUIRE,
        start_ms: START,
        ..VendorsConfig::default()
    });
    let database = TestDatabase::sqlite();
    let mut settings = raised();
    settings.push(("AGORA_BACKEND", "cloud_recording".to_owned()));
    let mut service = Service::spawn(&vendors.at, &database.url, &settings);
    service.ready().await;
    // Not counted.
    service.start(1, None).await;
    let mut began = 1;
    let mut samples = Vec::new();
    for (at_once, is_target) in [(AT_ONCE, true), (FEW, false)] {
        let rounds = size.or(5, 2);
        let floor = sorted(direct::starts(&mut vendors, rounds, at_once).await);
        let (mut added, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let round = round(&service, began, at_once).await;
            began += at_once;
            let answered_at = vendors.starts();
            added.extend(round.iter().filter_map(|one| {
                let resource = one.relay["agora"]["resource_id"].as_str()?;
                excess_ms(resource, one.asked, &answered_at)
            }));
            answered.extend(
                round
                    .iter()
                    .map(|one| millis(one.took) - critical_path_ms()),
            );
        }
        let starts = rounds * at_once;
        assert_eq!(added.len(), starts, "each start was seen by the vendor");
        let (added, answered) = (sorted(added), sorted(answered));
        let (p50, p99) = (percentile(&added, 50.0), percentile(&added, 99.0));
        let figure = format!("time added to a start, {at_once} at once, SQLite, Cloud Recording");
        let mut row = Row::new(figure, percentiles(&added));
        if is_target {
            row = row.against("p50 ≤ 25 ms, p99 ≤ 100 ms", p50 <= 25.0 && p99 <= 100.0);
        }
        part.row(row.note(format!(
            "{starts} starts in {rounds} rounds; to the answer at the client: {}; the vendors' clients alone, without \
             service and database: {}",
            percentiles(&answered),
            percentiles(&floor)
        )));
        samples.push(json!({
            "at_once": at_once, "added_ms": added, "answered_ms": answered, "direct_ms": floor,
        }));
    }
    part.samples = json!(samples);
    service.terminate();
    part
}

/// `began` is the number of channels that were started before.
async fn round(service: &Service, began: usize, at_once: usize) -> Vec<Started> {
    connect(service, at_once).await;
    let starts = (began..began + at_once).map(|number| service.start(1000 + number, None));
    let started = join_all(starts).await;
    service.until_live(began + at_once).await;
    started
}

fn percentiles(sorted: &[f64]) -> String {
    let of = |percent| percentile(sorted, percent);
    format!("p50 {:.0} ms, p99 {:.0} ms", of(50.0), of(99.0))
}

/// Opens the client's connections, so that no start waits for one.
async fn connect(service: &Service, at_once: usize) {
    let reads = (0..at_once).map(|_| service.request(Method::GET, "/v1/channels/1").send());
    for answer in join_all(reads).await {
        answer.expect("an answer").bytes().await.expect("a body");
    }
}

pub fn excess_ms(
    resource: &str,
    asked: DateTime<Utc>,
    answered_at: &BTreeMap<String, DateTime<Utc>>,
) -> Option<f64> {
    let answered = answered_at.get(resource)?;
    Some((*answered - asked).as_seconds_f64() * 1000.0 - critical_path_ms())
}

fn critical_path_ms() -> f64 {
    (CREATE.max(ACQUIRE) + START) as f64
}

fn millis(took: std::time::Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
