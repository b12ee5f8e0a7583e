//! What a vendor's notification costs with few and with many relays on air.
//!
//! A notification about a seller is about no relay; one about a recording reaches its relay, which ignores it while it is live.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::process::CpuMeter;
use crate::ramp;
use crate::reads::answered;
use crate::results::{Part, Row, percentile, sorted};
use crate::service::{PROGRAM, Service};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::vendors::{VendorsConfig, VendorsProcess};

const FEW: usize = 10;
/// Send notifications in turn.
const CONNECTIONS: usize = 4;

#[derive(Clone, Copy)]
enum Kind {
    AboutNoRelay,
    AboutOne,
}

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let mut samples = Vec::new();
    let before = std::env::var("RELAYKEEPER_BEFORE").ok();
    let for_each = size.or(Duration::from_secs(15), Duration::from_secs(3));
    for relays in [FEW, size.channels] {
        let vendors = VendorsProcess::open(&VendorsConfig::default());
        let database = TestDatabase::sqlite();
        let mut service = Service::spawn(&vendors.at, &database.url, &ramp::settings());
        service.ready().await;
        ramp::go_live(&service, 1..relays + 1, relays).await;
        service.terminate();
        let programs = before.iter().map(|path| ("before", path.as_str()));
        for (name, program) in programs.chain([("now", PROGRAM)]) {
            let (at, settings) = (&vendors.at, ramp::settings());
            let mut service = Service::spawn_program(program, at, &database.url, &settings);
            service.ready().await;
            service.all_back(relays).await;
            until_idle(service.id()).await;
            let ingests = ingests(&service).await;
            for kind in [Kind::AboutNoRelay, Kind::AboutOne] {
                let sender = Sender {
                    address: service.url.trim_start_matches("http://").to_owned(),
                    kind,
                    agora: at.environment["AGORA_WEBHOOK_SECRET"].clone(),
                    stream: at.environment["CLOUDFLARE_STREAM_WEBHOOK_SECRET"].clone(),
                    ingests: ingests.clone(),
                };
                let (row, sample) = load(&sender, service.id(), name, relays, for_each).await;
                part.row(row);
                samples.push(sample);
            }
            service.terminate();
        }
    }
    part.samples = json!(samples);
    part
}

/// Recovered relays poll once.
async fn until_idle(pid: u32) {
    loop {
        let meter = CpuMeter::by(pid);
        tokio::time::sleep(Duration::from_secs(3)).await;
        if meter.percent() < 5.0 {
            return;
        }
    }
}

async fn ingests(service: &Service) -> Vec<String> {
    let list = service.request(reqwest::Method::GET, "/v1/relays?limit=200");
    let list: Value = list
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let relays = list["relays"].as_array().expect("relays");
    let ingest = |relay: &Value| relay["stream_key_id"].as_str().map(str::to_owned);
    relays.iter().filter_map(ingest).collect()
}

#[derive(Clone)]
struct Sender {
    address: String,
    kind: Kind,
    agora: String,
    stream: String,
    ingests: Vec<String>,
}

impl Sender {
    fn request(&self, connection: usize, turn: usize) -> String {
        let (path, header, body) = match self.kind {
            Kind::AboutNoRelay => {
                let body = json!({ "noticeId": format!("{connection}:{turn}"), "productId": 1, "eventType": 103, "notifyMs": 1,
                    "payload": { "channelName": "show1", "uid": 999, "clientSeq": turn, "ts": 1, "platform": 7 } });
                let body = body.to_string();
                let signature = hex_of(&self.agora, &body);
                let header = format!("Agora-Signature-V2: {signature}");
                ("/webhooks/agora", header, body)
            }
            Kind::AboutOne => {
                let ingest = &self.ingests[turn % self.ingests.len()];
                let video = format!("{connection}-{turn}");
                let body =
                    json!({ "uid": video, "liveInput": ingest, "status": { "state": "ready" } });
                let (time, body) = (chrono::Utc::now().timestamp(), body.to_string());
                let signature = hex_of(&self.stream, &format!("{time}.{body}"));
                let header = format!("Webhook-Signature: time={time},sig1={signature}");
                ("/webhooks/cloudflare/stream", header, body)
            }
        };
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Returns latencies in milliseconds.
    async fn send(self, connection: usize, until: Instant) -> Vec<f64> {
        let stream = TcpStream::connect(&self.address).await;
        let mut stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (mut took, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        while Instant::now() < until {
            let request = self.request(connection, took.len());
            let began = Instant::now();
            let sent = stream.write_all(request.as_bytes()).await;
            sent.expect("it reads");
            answered(&mut stream, &mut buffer).await;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        took
    }
}

async fn load(
    sender: &Sender,
    pid: u32,
    program: &str,
    relays: usize,
    for_each: Duration,
) -> (Row, Value) {
    let (until, used) = (Instant::now() + for_each, CpuMeter::by(pid));
    let mut connections = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        connections.spawn(sender.clone().send(connection, until));
    }
    let took = sorted(connections.join_all().await.concat());
    let cpu = used.seconds() / took.len() as f64 * 1_000_000.0;
    let (p50, p99) = (percentile(&took, 50.0), percentile(&took, 99.0));
    let about = match sender.kind {
        Kind::AboutNoRelay => "no relay",
        Kind::AboutOne => "one relay",
    };
    let row = Row::new(
        format!("{program}: a notification about {about}, {relays} relays on air"),
        format!("{cpu:.0} µs of processor"),
    );
    let note = format!(
        "p50 {p50:.2} ms, p99 {p99:.2} ms; {} notifications",
        took.len()
    );
    let sample = json!({ "program": program, "about": about, "relays": relays, "cpu_micros": cpu.round(),
        "p50_ms": p50, "p99_ms": p99, "notifications": took.len() });
    (row.note(note), sample)
}

fn hex_of(secret: &str, text: &str) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("any key");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
