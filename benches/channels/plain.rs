//! A naive program for comparison: one task per channel gets its live input every five seconds.
//!
//! The documented 1,200 calls in five minutes allow 20 channels × 60. Runs at 30 times the wall clock, for 1.1 windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use crate::results::{Part, Row};
use crate::size::Size;
use crate::vendors::{Addresses, Limits, VendorsConfig, VendorsProcess};

const SPEED: f64 = 30.0;
/// In simulated time, as is `WINDOW`.
const POLL: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(300);
/// Numbers of channels.
const TRIED: [usize; 4] = [10, 19, 20, 21];

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let mut tries = Vec::new();
    let tried = if size.is_whole() {
        &TRIED[..]
    } else {
        &TRIED[1..]
    };
    for channels in tried {
        let (calls, blocked) = attempt(*channels).await;
        println!("  … {channels} channels: {calls} calls, blocked after {blocked:?} s");
        tries.push(
            json!({ "channels": channels, "calls": calls, "blocked_after_seconds": blocked }),
        );
    }
    let first = tries
        .iter()
        .find(|one| !one["blocked_after_seconds"].is_null());
    let measured = first.map_or("never".to_owned(), |one| one["channels"].to_string());
    let results: Vec<String> = tries.iter().map(line).collect();
    let row = Row::new(
        "the naive program (a GET of each live input every 5 s): channels at which it is blocked",
        measured,
    );
    part.row(row.note(results.join("; ")));
    part.samples = json!(tries);
    part
}

fn line(one: &Value) -> String {
    let channels = &one["channels"];
    match one["blocked_after_seconds"].as_f64() {
        Some(after) => format!("{channels}: everything refused after {after:.0} s"),
        None => format!("{channels}: {} calls, none refused", one["calls"]),
    }
}

/// Returns the number of successful calls, and the simulated seconds until one was refused.
async fn attempt(channels: usize) -> (u64, Option<f64>) {
    let mut vendors = VendorsProcess::open(&VendorsConfig {
        speed: SPEED,
        other_ms: 50,
        ..VendorsConfig::default()
    });
    let client = Client::builder().no_proxy().build().expect("a client");
    let mut inputs = Vec::new();
    for _ in 0..channels {
        inputs.push(ingest(&client, &vendors.at).await);
    }
    // Until the creations have left the window.
    tokio::time::sleep(real(WINDOW + POLL)).await;
    vendors.set_limits(Limits::Documented);
    let calls = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for (number, input) in inputs.into_iter().enumerate() {
        let first = began + real(POLL).mul_f64(number as f64 / channels as f64);
        all.spawn(poll(
            client.clone(),
            vendors.at.clone(),
            input,
            first,
            Arc::clone(&calls),
        ));
    }
    let refused = async { all.join_next().await };
    let refused = tokio::time::timeout(real(WINDOW + WINDOW / 10), refused).await;
    let blocked = refused
        .is_ok()
        .then(|| (began.elapsed().as_secs_f64() * SPEED).round());
    all.shutdown().await;
    (calls.load(Ordering::Relaxed), blocked)
}

async fn poll(client: Client, at: Addresses, input: String, first: Instant, calls: Arc<AtomicU64>) {
    let mut turn = tokio::time::interval_at(first.into(), real(POLL));
    loop {
        turn.tick().await;
        let url = format!("{}/{input}", live_inputs(&at));
        let asked = client.get(url).bearer_auth(&at.cloudflare_token).send();
        let answer = asked.await.expect("an answer");
        if answer.status() == 429 {
            return;
        }
        assert_eq!(answer.status(), 200);
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

async fn ingest(client: &Client, at: &Addresses) -> String {
    let asked = client
        .post(live_inputs(at))
        .bearer_auth(&at.cloudflare_token);
    let body = json!({ "meta": {}, "recording": { "mode": "automatic" } });
    let answer = asked.json(&body).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    let uid = answer["result"]["uid"].as_str();
    uid.expect("a uid").to_owned()
}

fn live_inputs(at: &Addresses) -> String {
    format!(
        "{}/accounts/{}/stream/live_inputs",
        at.cloudflare, at.account_id
    )
}

/// A simulated duration in wall-clock time.
fn real(simulated: Duration) -> Duration {
    simulated.div_f64(SPEED)
}
