//! `relaykeeper serve` as a child process with delivered settings, except what a measurement changes.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::process;
use crate::vendors::Addresses;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_relaykeeper");
const API_TOKEN: &str = "api-token-of-the-benchmark";
const ADMIN_TOKEN: &str = "admin-token-of-the-benchmark";
/// The limit of every wait.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Shorter than what is measured.
const POLL: Duration = Duration::from_millis(5);

/// Environment variables.
pub type Settings = Vec<(&'static str, String)>;

/// Killed when dropped.
pub struct Service {
    pub url: String,
    child: Child,
    http: reqwest::Client,
    began: Instant,
    folder: tempfile::TempDir,
}

#[derive(Debug, Clone)]
pub struct Started {
    pub asked: DateTime<Utc>,
    pub took: Duration,
    pub relay: Value,
}

impl Service {
    /// On Media Push, unless `more` changes that.
    pub fn spawn(vendors: &Addresses, database_url: &str, more: &Settings) -> Self {
        Self::spawn_program(PROGRAM, vendors, database_url, more)
    }

    /// The same with another build of the program.
    pub fn spawn_program(
        program: &str,
        vendors: &Addresses,
        database_url: &str,
        more: &Settings,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client");
        let began = Instant::now();
        let child = Command::new(program)
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .envs(&vendors.environment)
            .envs(delivered(database_url, &url))
            .env("RELAYKEEPER__SERVER__PORT", port.to_string())
            .envs(more.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("the service starts");
        Self {
            url,
            child,
            http,
            began,
            folder,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the process's age when it is ready.
    pub async fn ready(&mut self) -> Duration {
        loop {
            let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
            if asked.is_ok_and(|answer| answer.status() == 200) {
                return self.age();
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended\n{}", self.log());
            assert!(self.age() < TIMEOUT, "never ready\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the process's age when this many relays have actors.
    pub async fn all_back(&self, relays: usize) -> Duration {
        loop {
            let asked = self.as_admin(Method::GET, "/admin/actors?limit=1");
            if let Ok(answer) = asked.send().await
                && let Ok(page) = answer.json::<Value>().await
                && page["total"] == relays
            {
                return self.age();
            }
            assert!(self.age() < TIMEOUT, "they never came back\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let from = log.len().saturating_sub(4000);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }

    pub fn as_admin(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.bearer_auth(ADMIN_TOKEN)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.bearer_auth(API_TOKEN)
    }

    /// Starts a channel; retries while there is no permit.
    pub async fn start(&self, channel: usize, wait: Option<u32>) -> Started {
        let path = format!("/v1/channels/{channel}/start");
        let body = json!({ "channel_name": format!("show{channel}"), "seller_uid": 12345 });
        loop {
            let mut request = self.request(Method::POST, &path).json(&body);
            if let Some(seconds) = wait {
                request = request.header("prefer", format!("wait={seconds}"));
            }
            let (asked, began) = (Utc::now(), Instant::now());
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let relay: Value = answer.json().await.expect("JSON");
            if status == 201 || status == 202 {
                let took = began.elapsed();
                return Started { asked, took, relay };
            }
            assert!(status == 429 || status == 503, "{status} {relay:#}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub async fn stop(&self, channel: usize) {
        let path = format!("/v1/channels/{channel}/stop");
        let answer = self.request(Method::POST, &path).send().await;
        let status = answer.expect("an answer").status().as_u16();
        assert!(status == 202 || status == 409, "{status}");
    }

    pub async fn metrics(&self) -> Metrics {
        let asked = self.http.get(format!("{}/metrics", self.url)).send().await;
        let text = asked.expect("an answer").text().await.expect("text");
        Metrics(text)
    }

    pub async fn live(&self) -> usize {
        let metrics = self.metrics().await;
        metrics.sum("relaykeeper_relays{phase=\"live\"}") as usize
    }

    pub async fn until_live(&self, relays: usize) {
        let began = Instant::now();
        loop {
            let live = self.live().await;
            if live == relays {
                return;
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "{live} of {relays} are live\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    pub fn terminate(mut self) -> Duration {
        process::terminate(&mut self.child)
    }

    pub fn kill(mut self) {
        process::kill(&mut self.child);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

pub struct Metrics(String);

impl Metrics {
    /// The sum of the series whose line begins with `prefix`.
    pub fn sum(&self, prefix: &str) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(prefix));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn delivered(database_url: &str, url: &str) -> [(&'static str, String); 7] {
    [
        ("DATABASE_URL", database_url),
        ("RUST_BACKTRACE", "0"),
        // As in deploy/.
        ("MALLOC_ARENA_MAX", "2"),
        ("RELAYKEEPER__SERVER__PUBLIC_URL", url),
        ("RELAYKEEPER_API_TOKENS", API_TOKEN),
        ("RELAYKEEPER_ADMIN_TOKENS", ADMIN_TOKEN),
        ("AGORA_BACKEND", "media_push"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

/// Rate limits that are never reached.
pub fn raised() -> Settings {
    [
        ("RELAYKEEPER__CLOUDFLARE__REQUESTS_PER_5_MINUTES", "1000000"),
        (
            "RELAYKEEPER__CLOUDFLARE__CUSTOMER_REQUESTS_PER_SECOND",
            "100000",
        ),
        ("RELAYKEEPER__AGORA__CHANNEL_REQUESTS_PER_SECOND", "100000"),
        (
            "RELAYKEEPER__AGORA__CLOUD_RECORDING__REQUESTS_PER_SECOND",
            "100000",
        ),
        (
            "RELAYKEEPER__AGORA__MEDIA_PUSH__REQUESTS_PER_SECOND",
            "100000",
        ),
        ("RELAYKEEPER__SERVER__REQUESTS_PER_SECOND", "0"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

pub fn authorization() -> String {
    format!("Authorization: Bearer {API_TOKEN}")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
