//! The service in its own process, which is killed, terminated and restarted at random.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use tokio::time::Instant;

use super::client::Client;
use super::memory;
use crate::support::program::{self, Program};
use crate::support::service::ADMIN_TOKEN;

pub(super) const DATABASE: &str = "service.db";
pub(super) const LOG: &str = "service.log";

const READY_WITHIN: Duration = Duration::from_secs(60);
const EXIT_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// The part of the run with process faults; the last process runs for the rest.
const UNTIL: f64 = 0.85;

#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Processes {
    pub(super) started: u32,
    pub(super) killed: u32,
    pub(super) terminated: u32,
    /// Ended by themselves, or not as they were told to.
    pub(super) crashed: Vec<String>,
    /// In KiB, of the first process when it was ready.
    pub(super) rss_at_start: Option<u64>,
    /// In KiB, of the last process at its end.
    pub(super) rss_at_end: Option<u64>,
    /// In KiB, the peak of all processes.
    pub(super) rss_peak: Option<u64>,
}

pub(super) struct Service<'a> {
    vendors: &'a SimulatedVendors,
    folder: PathBuf,
    database_url: String,
    port: u16,
    url: String,
    speed: f64,
    client: Client,
    backend: AgoraBackend,
    program: Option<Program>,
    processes: Processes,
}

impl<'a> Service<'a> {
    pub(super) fn new(
        vendors: &'a SimulatedVendors,
        speed: f64,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let port = program::free_port();
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self {
            vendors,
            folder: folder.to_owned(),
            database_url: format!("sqlite://{}?mode=rwc", folder.join(DATABASE).display()),
            port,
            client: Client::new(&url, ADMIN_TOKEN)?,
            url,
            speed,
            backend: AgoraBackend::CloudRecording,
            program: None,
            processes: Processes::default(),
        })
    }

    pub(super) fn database_url(&self) -> &str {
        &self.database_url
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let environment =
            program::environment(self.vendors, self.backend, &self.database_url, self.port);
        let mut serve = program::serve(environment);
        serve
            .envs(timers(self.speed))
            .env("RELAYKEEPER__RELAY__DEPLOYMENT", "soak")
            .current_dir(&self.folder);
        self.program = Some(Program::start(serve, self.port, self.folder.join(LOG)));
        self.processes.started += 1;
        let deadline = Instant::now() + READY_WITHIN;
        while !self.client.is_ready().await {
            if let Some(crash) = self.crash() {
                bail!("the service ended before it was ready: {crash}; see its log");
            }
            if Instant::now() >= deadline {
                bail!("the service did not become ready; see its log");
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        if self.processes.started == 1 {
            self.processes.rss_at_start = self.memory(memory::RESIDENT);
        }
        Ok(())
    }

    fn kill(&mut self) {
        self.measure_memory();
        if let Some(mut program) = self.program.take() {
            program.kill();
            self.processes.killed += 1;
        }
    }

    pub(super) async fn terminate(&mut self) {
        self.measure_memory();
        let Some(program) = self.program.as_mut() else {
            return;
        };
        program.signal("TERM");
        let deadline = Instant::now() + EXIT_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = program.exit_status() {
                self.program = None;
                self.processes.terminated += 1;
                if !status.success() {
                    self.processes.crashed.push(format!("on SIGTERM: {status}"));
                }
                return;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let hangs = "did not exit on SIGTERM".to_owned();
        self.processes.crashed.push(hangs);
        self.kill();
    }

    fn crash(&mut self) -> Option<String> {
        let status = self.program.as_mut()?.exit_status()?;
        self.program = None;
        let crash = format!("process {}: {status}", self.processes.started);
        self.processes.crashed.push(crash.clone());
        Some(crash)
    }

    fn memory(&self, which: &str) -> Option<u64> {
        memory::of(self.program.as_ref()?.id(), which)
    }

    fn measure_memory(&mut self) {
        self.processes.rss_at_end = self.memory(memory::RESIDENT);
        let peak = self.memory(memory::PEAK);
        self.processes.rss_peak = self.processes.rss_peak.max(peak);
    }

    pub(super) fn processes(&mut self) -> Processes {
        self.crash();
        if self.program.is_some() {
            self.measure_memory();
        }
        self.processes.clone()
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let log = std::fs::read(self.folder.join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(" ERROR "))
            .map(str::to_owned)
            .collect()
    }
}

pub(super) struct ProcessFaults(StdRng);

impl ProcessFaults {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        Self(StdRng::seed_from_u64(rng.random()))
    }

    /// The first fault is a kill, so that even a short run has one. Each new process has a random backend; running relays keep
    /// theirs.
    pub(super) async fn run(
        mut self,
        service: &mut Service<'_>,
        duration: Duration,
    ) -> anyhow::Result<()> {
        let over = Instant::now() + duration.mul_f64(UNTIL);
        loop {
            let undisturbed = duration.mul_f64(self.0.random_range(0.02..0.05));
            let until = Instant::now() + undisturbed.max(Duration::from_secs(3));
            while Instant::now() < until.min(over) {
                tokio::time::sleep(POLL_EVERY).await;
                if service.crash().is_some() {
                    service.start().await?;
                }
            }
            if Instant::now() >= over {
                return Ok(());
            }
            if service.processes.killed == 0 || self.0.random_bool(0.75) {
                service.kill();
            } else {
                service.terminate().await;
            }
            if self.0.random_bool(0.2) {
                // A slow restart.
                let down = Duration::from_secs_f64(self.0.random_range(0.5..4.0));
                tokio::time::sleep(down.min(duration / 10)).await;
            }
            service.backend = if self.0.random_bool(0.5) {
                AgoraBackend::CloudRecording
            } else {
                AgoraBackend::MediaPush
            };
            service.start().await?;
        }
    }
}

/// The defaults of `config.toml` divided by `speed`, but not shorter than a busy machine can keep. Agora's rates stay as they
/// are: a second on the vendors' clock is too short for any burst.
fn timers(speed: f64) -> Vec<(&'static str, String)> {
    let timer = |usual: u64, at_least_ms: u64| {
        let shortened = Duration::from_secs(usual).div_f64(speed);
        let timer = shortened.max(Duration::from_millis(at_least_ms));
        format!("{}ms", timer.as_millis())
    };
    let budget = Duration::from_secs(1200).mul_f64(speed).as_secs();
    let backoff = [(5, 300), (10, 300), (15, 600), (30, 600), (60, 1200)];
    let backoff = backoff.map(|(usual, at_least_ms)| timer(usual, at_least_ms));
    vec![
        ("RELAYKEEPER__RELAY__POLL_INTERVAL", timer(5, 500)),
        (
            "RELAYKEEPER__RELAY__PROVISIONING_TIMEOUT",
            timer(120, 15_000),
        ),
        ("RELAYKEEPER__RELAY__LIVE_TIMEOUT", timer(120, 15_000)),
        ("RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL", timer(30, 1000)),
        ("RELAYKEEPER__RELAY__RECONNECT_WINDOW", timer(60, 5000)),
        ("RELAYKEEPER__RELAY__FEED_TIMEOUT", timer(180, 10_000)),
        ("RELAYKEEPER__RELAY__RECORDING_TIMEOUT", timer(600, 15_000)),
        ("RELAYKEEPER__JANITOR__INTERVAL", timer(600, 5000)),
        ("RELAYKEEPER__JANITOR__GRACE", timer(600, 20_000)),
        ("RELAYKEEPER__VENDORS__READ_TIMEOUT", timer(5, 2000)),
        ("RELAYKEEPER__VENDORS__WRITE_TIMEOUT", timer(15, 4000)),
        (
            "RELAYKEEPER__CLOUDFLARE__RECORDINGS_INTERVAL",
            timer(20, 1000),
        ),
        (
            "RELAYKEEPER__CLOUDFLARE__REQUESTS_PER_5_MINUTES",
            budget.to_string(),
        ),
        ("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", backoff.join(",")),
        (
            "RELAYKEEPER__AGORA__CLOUD_RECORDING__QUERY_INTERVAL",
            timer(120, 10_000),
        ),
        (
            "RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL",
            timer(15, 5000),
        ),
        (
            "RELAYKEEPER__AGORA__MEDIA_PUSH__IDLE_TIMEOUT",
            timer(240, 60_000),
        ),
    ]
}
