//! The delay from playable to `live`, with and without the vendors' notifications.
//!
//! Fifty channels start at once on Media Push, limited only by the customer host's default 200 requests per second. A converter
//! connects 2 s after its creation (notification `connected`) and is playable 4.23 s later. Both times come from one clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::results::{Part, Row, percentile, sorted};
use crate::service::{Service, raised};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::vendors::{VendorsConfig, VendorsProcess};

const AT_ONCE: usize = 50;
/// The delivered interval.
const POLL: Duration = Duration::from_secs(5);

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let rounds = size.or(4, 1);
    let notified = live_after(rounds, true).await;
    let (p50, p99) = (percentile(&notified, 50.0), percentile(&notified, 99.0));
    let figure = "from playable to `live`, with notifications";
    let row = Row::new(figure, format!("p50 {p50:.2} s, p99 {p99:.2} s"));
    let row = row.against("p99 ≤ 1 s", p99 <= 1.0);
    part.row(row.note(format!("{} starts, {AT_ONCE} at once", notified.len())));
    let polled = live_after(rounds, false).await;
    let (p50, p99) = (percentile(&polled, 50.0), percentile(&polled, 99.0));
    let most = POLL.as_secs_f64() + 1.0;
    let row = Row::new(
        "the same by polls alone",
        format!("p50 {p50:.2} s, p99 {p99:.2} s"),
    );
    part.row(row.against(format!("≤ {most:.0} s"), p99 <= most));
    part.samples = json!({ "with_notifications_s": notified, "by_polls_s": polled });
    part
}

/// Returns sorted delays in seconds.
async fn live_after(rounds: usize, notifications: bool) -> Vec<f64> {
    let mut vendors = VendorsProcess::open(&VendorsConfig {
        push_ms: 2000,
        playable_ms: 4230,
        ..VendorsConfig::default()
    });
    let database = TestDatabase::sqlite();
    let mut settings = raised();
    settings.retain(|(name, _)| *name != "RELAYKEEPER__CLOUDFLARE__CUSTOMER_REQUESTS_PER_SECOND");
    let mut service = Service::spawn(&vendors.at, &database.url, &settings);
    service.ready().await;
    if notifications {
        vendors.notify(&service.url);
    }
    for round in 0..rounds {
        let from = round * AT_ONCE;
        join_all((from..from + AT_ONCE).map(|channel| service.start(channel + 1, None))).await;
        service.until_live(from + AT_ONCE).await;
    }
    let playable = vendors.playable();
    let mut after = Vec::new();
    for channel in 1..=rounds * AT_ONCE {
        let relay = relay(&service, channel).await;
        let live_at: DateTime<Utc> =
            serde_json::from_value(relay["live_at"].clone()).expect("live");
        let uid = relay["stream_key_id"].as_str().expect("an ingest");
        after.push((live_at - playable[uid]).as_seconds_f64());
    }
    service.terminate();
    sorted(after)
}

async fn relay(service: &Service, channel: usize) -> Value {
    let path = format!("/v1/channels/{channel}");
    let answer = service.request(Method::GET, &path).send().await;
    let mut channel: Value = answer.expect("an answer").json().await.expect("JSON");
    channel["relay"].take()
}
