//! Relays per second, from start to cleanup, without rate limits.
//!
//! All channels start at once and stop as soon as they are live, on Media Push; the vendors answer within 5 ms. One event stream
//! watches them, so that the service handles only starts and stops.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::process::CpuMeter;
use crate::results::{Part, Row};
use crate::service::{Service, Settings, raised};
use crate::size::Size;
use crate::support;
use crate::support::database::TestDatabase;
use crate::vendors::{VendorsConfig, VendorsProcess};

/// Requests at once.
const REQUESTS: usize = 64;

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    // 100, 1,000 and 5,000 in a full run.
    let numbers = [100, 10, 2].map(|part| (size.channels / part).max(20));
    let mut samples = Vec::new();
    let mut databases = vec![("SQLite", TestDatabase::sqlite())];
    if std::env::var_os(support::postgres::URL).is_some() {
        databases.push(("PostgreSQL", TestDatabase::postgres().await));
    }
    for (name, database) in databases {
        for relays in numbers {
            let seen = lives(&database, relays).await;
            println!("  … {name}: {seen}");
            let row = Row::new(
                format!("whole lives a second, {relays} at once, {name}"),
                format!("{:.0}", seen["per_second"].as_f64().expect("a figure")),
            );
            part.row(row.note(format!(
                "{} s; the service took {} s of processor, the simulated vendors {} s; Cloudflare API calls a life: {}",
                seen["seconds"], seen["cpu_seconds"], seen["vendors_cpu_seconds"], seen["cloudflare_calls_per_life"]
            )));
            samples.push(json!({ "database": name, "relays": relays, "seen": seen }));
        }
        database.remove().await;
    }
    part.samples = json!(samples);
    part
}

fn settings() -> Settings {
    let mut settings = raised();
    settings.extend(
        [
            ("RELAYKEEPER__RELAY__POLL_INTERVAL", "500ms"),
            ("RELAYKEEPER__CLOUDFLARE__RECORDINGS_INTERVAL", "500ms"),
            ("RELAYKEEPER__SERVER__SHUTDOWN_GRACE", "1s"),
            // Without a limit 5,000 starting relays poll 30,000 times per second.
            (
                "RELAYKEEPER__CLOUDFLARE__CUSTOMER_REQUESTS_PER_SECOND",
                "500",
            ),
            ("RELAYKEEPER__AGORA__CHANNEL_REQUESTS_PER_SECOND", "500"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    settings
}

async fn lives(database: &TestDatabase, relays: usize) -> Value {
    let mut vendors = VendorsProcess::open(&VendorsConfig::default());
    let mut service = Service::spawn(&vendors.at, &database.url, &settings());
    service.ready().await;
    let mut events = Events::listen(&service).await;
    let (began, since) = (Instant::now(), chrono::Utc::now());
    let (used, vendors_used) = (CpuMeter::by(service.id()), CpuMeter::by(vendors.id()));
    let starts = stream::iter(1..=relays)
        .map(async |channel| drop(service.start(channel, Some(0)).await))
        .buffer_unordered(REQUESTS)
        .collect::<()>();
    let (stop, stopped) = tokio::sync::mpsc::unbounded_channel::<usize>();
    let stops = stream::unfold(stopped, async |mut stopped| {
        Some((stopped.recv().await?, stopped))
    })
    .map(async |channel| service.stop(channel).await)
    .buffer_unordered(REQUESTS)
    .collect::<()>();
    let watch = async {
        let mut ended = 0;
        let mut live = 0;
        while ended < relays {
            let (kind, channel) = events.next(&service).await;
            match kind.as_str() {
                "relay.live" => {
                    live += 1;
                    let _ = stop.send(channel);
                }
                "relay.ended" => ended += 1,
                _ => {}
            }
        }
        drop(stop);
        live
    };
    let ((), (), live) = tokio::join!(starts, stops, watch);
    let seconds = began.elapsed().as_secs_f64();
    let called = vendors.since(since);
    let one = |value: f64| (value * 10.0).round() / 10.0;
    let calls = called.of("cloudflare.") as f64 / relays as f64;
    let seen = json!({
        "seconds": one(seconds),
        "per_second": one(relays as f64 / seconds),
        "were_live": live,
        "cpu_seconds": one(used.seconds()),
        "vendors_cpu_seconds": one(vendors_used.seconds()),
        "cloudflare_calls_per_life": (calls * 100.0).round() / 100.0,
        "calls": called.calls,
        "left_behind": called.live_inputs + called.egresses,
    });
    service.terminate();
    seen
}

/// Reconnects when the stream ends.
struct Events {
    stream: Response,
    text: String,
    last: Option<u64>,
}

impl Events {
    async fn listen(service: &Service) -> Self {
        Self {
            stream: open(service, None).await,
            text: String::new(),
            last: None,
        }
    }

    /// Returns kind and channel.
    async fn next(&mut self, service: &Service) -> (String, usize) {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let frame: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.read(&frame) {
                    return event;
                }
                continue;
            }
            match self.stream.chunk().await {
                Ok(Some(chunk)) => self.text.push_str(&String::from_utf8_lossy(&chunk)),
                Ok(None) | Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    self.text.clear();
                    self.stream = open(service, self.last).await;
                }
            }
        }
    }

    fn read(&mut self, frame: &str) -> Option<(String, usize)> {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let kind = field("event: ")?.to_owned();
        self.last = field("id: ").and_then(|id| id.parse().ok()).or(self.last);
        let data: Value = serde_json::from_str(field("data: ")?).ok()?;
        let relay = data.pointer("/data/relay").unwrap_or(&data["data"]);
        let channel = relay["channel_id"].as_u64()?;
        Some((kind, channel as usize))
    }
}

async fn open(service: &Service, last: Option<u64>) -> Response {
    let mut request = service.request(Method::GET, "/v1/events");
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer
}
