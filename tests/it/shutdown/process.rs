//! The real program as a process of its own.

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use relaykeeper::sandbox::Vendors;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::support::service::{ADMIN_TOKEN, API_TOKEN, show};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `relaykeeper serve`; killed when dropped.
pub struct Process {
    child: Child,
    url: String,
    http: reqwest::Client,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Process {
    /// `relaykeeper serve` with these arguments; ready when this returns.
    pub async fn serve(
        vendors: &Vendors,
        backend: &str,
        database: &str,
        port: u16,
        arguments: &[&str],
    ) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let log = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
        let settings = [
            ("RUST_LOG", log),
            ("DATABASE_URL", database.to_owned()),
            ("RELAYKEEPER_API_TOKENS", API_TOKEN.into()),
            ("RELAYKEEPER_ADMIN_TOKENS", ADMIN_TOKEN.into()),
            ("RELAYKEEPER__SERVER__BIND", "127.0.0.1".into()),
            ("RELAYKEEPER__SERVER__PORT", port.to_string()),
            ("RELAYKEEPER__SERVER__PUBLIC_URL", url.clone()),
            ("RELAYKEEPER__SERVER__SHUTDOWN_GRACE", "5s".into()),
            ("RELAYKEEPER__RELAY__DEPLOYMENT", "tests".into()),
            ("RELAYKEEPER__RELAY__POLL_INTERVAL", "200ms".into()),
            ("RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL", "300ms".into()),
            (
                "RELAYKEEPER__CLOUDFLARE__RECORDINGS_INTERVAL",
                "300ms".into(),
            ),
            ("CLOUDFLARE_STREAM_ACCOUNT_ID", vendors.account_id().into()),
            (
                "CLOUDFLARE_STREAM_API_TOKEN",
                vendors.cloudflare_api_token().into(),
            ),
            ("CLOUDFLARE_API_BASE_URL", vendors.cloudflare_api_base_url()),
            (
                "CLOUDFLARE_STREAM_CUSTOMER_BASE_URL",
                vendors.customer_base_url(),
            ),
            ("AGORA_APP_ID", vendors.agora_app_id().into()),
            (
                "AGORA_APP_CERTIFICATE",
                vendors.agora_app_certificate().into(),
            ),
            ("AGORA_CUSTOMER_ID", vendors.agora_customer_id().into()),
            (
                "AGORA_CUSTOMER_SECRET",
                vendors.agora_customer_secret().into(),
            ),
            ("AGORA_API_BASE_URL", vendors.agora_base_url()),
            ("AGORA_BACKEND", backend.into()),
            (
                "RELAYKEEPER__AGORA__FALLBACK_BASE_URLS",
                vendors.agora_fallback_base_url(),
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__BUCKET",
                "bucket".into(),
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__ACCESS_KEY",
                "storage-access-key".into(),
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
                "storage-secret-key".into(),
            ),
        ];
        let child = Command::new(env!("CARGO_BIN_EXE_relaykeeper"))
            .arg("serve")
            .args(arguments)
            .env_clear()
            .envs(settings)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Self {
            child,
            url,
            http: reqwest::Client::new(),
        };
        let deadline = Instant::now() + PATIENCE;
        while process.readyz().await != Some(StatusCode::OK) {
            let ended = process.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "never ready: {ended:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(API_TOKEN)
    }

    pub async fn readyz(&self) -> Option<StatusCode> {
        let answer = self.request(Method::GET, "/readyz").send().await;
        answer.ok().map(|answer| answer.status())
    }

    /// Starts a channel, waiting for its recorder for so many seconds.
    pub async fn start(&self, channel: i64, wait: u32) -> (StatusCode, Value) {
        let answer = self
            .request(Method::POST, &format!("/v1/channels/{channel}/start"))
            .header("Prefer", format!("wait={wait}"))
            .json(&show(&format!("show{channel}")))
            .send()
            .await
            .unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn stop(&self, channel: i64) -> StatusCode {
        let path = format!("/v1/channels/{channel}/stop");
        self.request(Method::POST, &path)
            .send()
            .await
            .unwrap()
            .status()
    }

    pub async fn relay(&self, channel: i64) -> Value {
        let path = format!("/v1/channels/{channel}");
        let answer = self.request(Method::GET, &path).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["relay"].clone()
    }

    pub async fn in_phase(&self, channel: i64, phase: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let relay = self.relay(channel).await;
            if relay["phase"] == phase {
                return relay;
            }
            assert!(Instant::now() < deadline, "never {phase}: {relay:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
    }

    /// How it ended, and how long that took from now.
    pub async fn ended(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
