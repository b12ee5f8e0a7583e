//! What this program adds to a start: how much later than they could the vendors' calls of a start come, when a hundred channels
//! start at once.
//!
//! Cloud Recording, simulated at 400 ms for the live input, 300 ms for `acquire`, 500 ms for `start`: a start's critical path is
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
use crate::service::{Service, raised};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::vendors::{House, Told};

const CREATE: u64 = 400;
const ACQUIRE: u64 = 300;
const START: u64 = 500;
/// Channels that start at once.
const AT_ONCE: usize = 100;

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
    let rounds = size.or(5, 2);
    let floor = sorted(direct::starts(&mut vendors, rounds, AT_ONCE).await);
    let (mut added, mut answered) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        connect(&service).await;
        let from = 1000 + round * AT_ONCE;
        let starts = (from..from + AT_ONCE).map(|channel| service.start(channel, None));
        let started = join_all(starts).await;
        // Nothing of this round is under way any more when the next begins.
        service.until_live(1 + (round + 1) * AT_ONCE).await;
        let theirs = vendors.starts();
        added.extend(started.iter().filter_map(|one| {
            let resource = one.relay["agora"]["resource_id"].as_str()?;
            beyond(resource, one.asked, &theirs)
        }));
        answered.extend(started.iter().map(|one| millis(one.took) - path()));
    }
    let starts = rounds * AT_ONCE;
    assert_eq!(added.len(), starts, "each start was seen by the vendor");
    let (added, answered) = (sorted(added), sorted(answered));
    let of = |values: &[f64]| (percentile(values, 50.0), percentile(values, 99.0));
    let ((p50, p99), (whole50, whole99)) = (of(&added), of(&answered));
    let (floor50, floor99) = of(&floor);
    let figure = "time added to a start, 100 at once, SQLite, Cloud Recording";
    let row = Row::told(figure, format!("p50 {p50:.0} ms, p99 {p99:.0} ms"));
    let row = row.against("p50 ≤ 25 ms, p99 ≤ 100 ms", p50 <= 25.0 && p99 <= 100.0);
    part.row(row.note(format!(
        "{starts} starts in {rounds} rounds; to the answer at the client: p50 {whole50:.0} ms, p99 {whole99:.0} ms; \
         the vendors' clients alone, without service and database: p50 {floor50:.0} ms, p99 {floor99:.0} ms"
    )));
    part.samples = json!({ "added_ms": added, "answered_ms": answered, "direct_ms": floor });
    service.terminate();
    part
}

/// So many connections are open before the round: what they cost is the client's.
async fn connect(service: &Service) {
    let reads = (0..AT_ONCE).map(|_| service.request(Method::GET, "/v1/channels/1").send());
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
