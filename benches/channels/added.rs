//! What this program adds to a start: how much later than they could the vendors' calls of a start come, when a hundred channels
//! start at once.
//!
//! Cloud Recording, simulated at 400 ms for the ingest, 300 ms for `acquire`, 500 ms for `start`: a start's critical path is
//! 900 ms. From when the request was sent (by this process's clock) to when the simulator answered `start` (by its time stamp,
//! on the same machine's clock), less those 900 ms. The store's commits are in it, and the simulator's own timers; what of it
//! this machine adds without a service in between is measured beside (see [`direct`](crate::direct)).

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
use crate::vendors::{House, Told};

const CREATE: u64 = 400;
const ACQUIRE: u64 = 300;
const START: u64 = 500;
/// Channels that start at once.
const AT_ONCE: usize = 100;
/// Fewer, for comparison: what a start takes when it waits for no other.
const FEW: usize = 10;

/// All of it.
pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let mut vendors = House::open(&Told {
        create_ms: CREATE,
        acquire_ms: ACQUIRE,
        start_ms: START,
        ..Told::default()
    });
    let database = TestDatabase::sqlite();
    let mut settings = raised();
    settings.push(("AGORA_BACKEND", "cloud_recording".to_owned()));
    let mut service = Service::spawn(&vendors.at, &database.url, &settings);
    service.ready().await;
    // The first start makes connections, and is not counted.
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
            let theirs = vendors.starts();
            added.extend(round.iter().filter_map(|one| {
                let resource = one.relay["agora"]["resource_id"].as_str()?;
                beyond(resource, one.asked, &theirs)
            }));
            answered.extend(round.iter().map(|one| millis(one.took) - path()));
        }
        let starts = rounds * at_once;
        assert_eq!(added.len(), starts, "each start was seen by the vendor");
        let (added, answered) = (sorted(added), sorted(answered));
        let (p50, p99) = (percentile(&added, 50.0), percentile(&added, 99.0));
        let figure = format!("time added to a start, {at_once} at once, SQLite, Cloud Recording");
        let mut row = Row::told(figure, told(&added));
        if is_target {
            row = row.against("p50 ≤ 25 ms, p99 ≤ 100 ms", p50 <= 25.0 && p99 <= 100.0);
        }
        part.row(row.note(format!(
            "{starts} starts in {rounds} rounds; to the answer at the client: {}; the vendors' clients alone, without \
             service and database: {}",
            told(&answered),
            told(&floor)
        )));
        samples.push(json!({
            "at_once": at_once, "added_ms": added, "answered_ms": answered, "direct_ms": floor,
        }));
    }
    part.samples = json!(samples);
    service.terminate();
    part
}

/// So many channels start at once, of which the first is one behind those that did already; it is over when all are live.
async fn round(service: &Service, began: usize, at_once: usize) -> Vec<Started> {
    connect(service, at_once).await;
    let starts = (began..began + at_once).map(|number| service.start(1000 + number, None));
    let started = join_all(starts).await;
    service.until_live(began + at_once).await;
    started
}

fn told(sorted: &[f64]) -> String {
    let of = |percent| percentile(sorted, percent);
    format!("p50 {:.0} ms, p99 {:.0} ms", of(50.0), of(99.0))
}

/// So many connections are open before the round: what they cost is the client's.
async fn connect(service: &Service, at_once: usize) {
    let reads = (0..at_once).map(|_| service.request(Method::GET, "/v1/channels/1").send());
    for answer in join_all(reads).await {
        answer.expect("an answer").bytes().await.expect("a body");
    }
}

/// How much later than it could a start was answered by the vendor, in milliseconds.
pub fn beyond(
    resource: &str,
    asked: DateTime<Utc>,
    theirs: &BTreeMap<String, DateTime<Utc>>,
) -> Option<f64> {
    let answered = theirs.get(resource)?;
    Some((*answered - asked).as_seconds_f64() * 1000.0 - path())
}

/// The vendors' own critical path, in milliseconds.
fn path() -> f64 {
    (CREATE.max(ACQUIRE) + START) as f64
}

fn millis(took: std::time::Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
