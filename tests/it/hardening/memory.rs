//! What unauthenticated callers can use up: memory, the log and open files.
//!
//! `RELAYKEEPER_TEST_CALLERS` sets the number of callers; `--nocapture` shows the memory.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use socket2::{Domain, Socket, Type};

use crate::support::database::TestDatabase;
use crate::support::program::Program;
use crate::support::service::{API_TOKEN, Answer, Service, options, show};
use crate::support::usage::resident_kib;

struct Running {
    program: Program,
    _vendors: SimulatedVendors,
    _database: TestDatabase,
}

async fn running(files: Option<u32>, more: &[(&str, &str)]) -> Running {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let backend = AgoraBackend::CloudRecording;
    let mut program = match files {
        Some(files) => Program::serve_with_files(files, &vendors, backend, &database.url, more),
        None => Program::serve(&vendors, backend, &database.url, more),
    };
    program.wait_until_ready().await;
    Running {
        program,
        _vendors: vendors,
        _database: database,
    }
}

impl Running {
    /// A connection with a small receive buffer.
    fn connect(&self) -> TcpStream {
        self.connect_as(0)
    }

    /// From one of several addresses, with 500 callers each.
    fn connect_as(&self, caller: usize) -> TcpStream {
        let address = self.program.service.url.strip_prefix("http://").unwrap();
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let host = u8::try_from(caller / 500 + 1).unwrap();
        let from = SocketAddr::from(([127, 0, 0, host], 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.into()
    }

    fn resident_kib(&self) -> i64 {
        i64::try_from(resident_kib(self.program.id())).unwrap()
    }

    /// The growth of memory in KiB while the load is held.
    async fn growth<T>(&self, load: impl FnOnce() -> T) -> i64 {
        let before = self.resident_kib();
        let load = load();
        let mut most = 0;
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            most = most.max(self.resident_kib() - before);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(load);
        let now = self.resident_kib() - before;
        println!(
            "{before} KiB before, {most} KiB more with the callers, {now} KiB more just after them"
        );
        most
    }
}

/// The number of callers, and the limit in KiB scaled to it.
fn callers(usual: usize, most: i64) -> (usize, i64) {
    let callers = std::env::var("RELAYKEEPER_TEST_CALLERS").ok();
    let callers = callers.map_or(usual, |callers| callers.parse().unwrap());
    let times = i64::try_from(callers.div_ceil(usual)).unwrap();
    (callers, most * times)
}

#[tokio::test]
async fn callers_that_do_not_read_large_answers_cost_little_memory() {
    // A response for each takes 100 MB.
    let (callers, most) = callers(200, 40_000);
    let running = running(None, &[]).await;
    let url = format!("{}/openapi.json", running.program.service.url);
    let whole = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
    assert!(whole.len() > 400_000, "{}", whole.len());
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: here\r\n\r\n".repeat(20);
    let grown = running
        .growth(|| {
            let callers = (0..callers).map(|number| {
                let mut caller = running.connect_as(number);
                caller.write_all(requests.as_bytes()).unwrap();
                caller
            });
            callers.collect::<Vec<TcpStream>>()
        })
        .await;
    assert!(grown < most, "{grown} KiB more");

    let packed = reqwest::Client::new().get(&url);
    let packed = packed
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "Accept-Encoding");
    let mut unpacked = Vec::new();
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() < whole.len() / 4, "{}", packed.len());
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, whole);
}

#[tokio::test]
async fn unfinished_bodies_cost_little_memory_and_a_start_succeeds_meanwhile() {
    // Mostly for connections; all bodies would add up to more than 50 MB.
    let (number, most) = callers(500, 38_000);
    let sign_in = |service: &Service| {
        let post = reqwest::Client::new().post(format!("{}/admin/sign-in", service.url));
        Answer::to(post.body("token=wrong"))
    };
    let running = running(None, &[]).await;
    let mut half =
        b"POST /webhooks/agora HTTP/1.1\r\nhost: here\r\ncontent-length: 65000\r\n\r\n".to_vec();
    half.resize(half.len() + 60_000, b'x');
    let mut callers = Vec::new();
    let grown = running
        .growth(|| {
            for caller in 0..number {
                let mut caller = running.connect_as(caller);
                caller
                    .set_write_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                // A refused connection may close before everything is written.
                let _ = caller.write_all(&half);
                callers.push(caller);
            }
        })
        .await;
    assert!(grown < most, "{grown} KiB more");
    assert_eq!(sign_in(&running.program.service).await.status, 401);
    let (status, _) = running
        .program
        .service
        .start_channel(42, &show("meanwhile"))
        .await;
    assert_eq!(status, 201);
}

#[tokio::test]
async fn long_and_strange_requests_do_not_fill_the_log() {
    let running = running(None, &[("RELAYKEEPER__TELEMETRY__LOG_FORMAT", "json")]).await;
    let before = running.program.log().len();
    let long = "X".repeat(30_000);
    let mut caller = running.connect();
    for made_up in [
        format!("{long} /livez HTTP/1.1\r\nhost: here\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: here\r\n\r\n"),
        format!("GET /v1/relays?{long} HTTP/1.1\r\nhost: here\r\n\r\n"),
        format!("GET /v1/relays HTTP/1.1\r\nhost: {long}\r\n\r\n"),
        format!("GET /v1/relays HTTP/1.1\r\nhost: here\r\nx-request-id: {long}\r\n\r\n"),
        format!("GET /v1/relays HTTP/1.1\r\nhost: here\r\nuser-agent: {long}\r\n\r\n"),
        format!("GET /v1/relays HTTP/1.1\r\nhost: here\r\ntraceparent: {long}\r\n\r\n"),
        format!(
            "POST /admin/sign-in HTTP/1.1\r\nhost: here\r\nx-forwarded-for: {long}\r\ncontent-length: 0\r\n\r\n"
        ),
    ] {
        caller
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        caller.write_all(made_up.as_bytes()).unwrap();
        let mut answer = [0; 12];
        caller.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
        caller = running.connect();
    }
    let test = r#"{"text":"Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly."}"#;
    for one in [
        "BREW /livez HTTP/1.1\r\nhost: here\r\n\r\n".to_owned(),
        "HEAD /recorder/page.js HTTP/1.1\r\nhost: here\r\n\r\n".to_owned(),
        format!(
            "POST /webhooks/cloudflare/live HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n{test}",
            test.len()
        ),
    ] {
        let mut caller = running.connect();
        caller.write_all(one.repeat(1000).as_bytes()).unwrap();
        let mut answers = vec![0; 64 * 1024];
        caller
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        while caller.read(&mut answers).is_ok_and(|read| read > 0) {}
    }
    let log = running.program.log();
    let grown = log.len() - before;
    assert!(grown < 100_000, "{grown} bytes more");
    assert!(!log.contains(&"X".repeat(100)), "{log}");
    let metrics = running.program.service.as_admin(Method::GET, "/metrics");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("method=\"other\"") && !metrics.contains("BREW"));
}

#[tokio::test]
async fn with_few_files_idle_callers_do_not_stop_a_start_and_the_log_says_so() {
    let running = running(Some(256), &[]).await;
    let idle: Vec<TcpStream> = (0..300).map(|_| running.connect()).collect();
    let service = &running.program.service;
    // On a new connection: the readiness check's was closed.
    let start = reqwest::Client::new().post(format!("{}/v1/channels/42/start", service.url));
    let start = start.bearer_auth(API_TOKEN).json(&show("few"));
    let started = Answer::to(start.timeout(Duration::from_secs(20))).await;
    assert_eq!(started.status, 201, "{:#}", started.body);
    service.in_phase(&started.body, "live").await;
    service.come_down(42).await;
    drop(idle);
    let log = running.program.log();
    assert!(log.contains("open file limit too low"), "{log}");
    assert!(!log.contains("Too many open files"), "{log}");
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let running = running(Some(512), &[]).await;
    let limits = format!("/proc/{}/limits", running.program.id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(files[3..5], ["512", "512"], "{files:?}");
}
