//! The program as a child process.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::support::program::{self, Program, environment};
use crate::support::service::{PATIENCE, show};

pub struct Process {
    program: Program,
}

impl Process {
    pub async fn serve(
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database: &str,
        port: u16,
        arguments: &[&str],
    ) -> Self {
        let mut serve = program::serve(environment(vendors, backend, database, port));
        serve
            .args(arguments)
            .env("RELAYKEEPER__SERVER__BIND", "127.0.0.1")
            .env("RELAYKEEPER__SERVER__SHUTDOWN_GRACE", "5s");
        let mut program = Program::start_elsewhere(serve, port);
        program.wait_until_ready().await;
        Self { program }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.program.service.request(method, path)
    }

    pub async fn readyz(&self) -> Option<StatusCode> {
        let answer = self.request(Method::GET, "/readyz").send().await;
        answer.ok().map(|answer| answer.status())
    }

    /// `wait`: how many seconds the request waits for the egress.
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
        self.program.signal("TERM");
    }

    pub async fn ended(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let status = self.program.ends().await;
        (status, begun.elapsed())
    }
}
