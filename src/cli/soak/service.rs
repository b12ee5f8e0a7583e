//! The service as a process of its own, and what happens to it.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relaykeeper::sandbox::Vendors;
use tokio::time::Instant;

use super::door::Door;
use super::memory;

/// The service's database, in the run's folder.
pub(super) const DATABASE: &str = "service.db";
/// What the service logs, all lives.
pub(super) const LOG: &str = "service.log";

/// How long it may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to go when it is told to.
const GONE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of the day it is left no peace; its last life is as long as the rest.
const UNTIL: f64 = 0.85;

/// What its lives came to.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Lives {
    /// How many there were.
    pub(super) started: u32,
    /// Ended by SIGKILL.
    pub(super) killed: u32,
    /// Ended by SIGTERM.
    pub(super) told_to_go: u32,
    /// Ended otherwise than they were told to.
    pub(super) died: Vec<String>,
    /// Memory of the first life when it was ready, in KiB.
    pub(super) rss_at_start: Option<u64>,
    /// Memory at the end of the last life, in KiB.
    pub(super) rss_at_end: Option<u64>,
    /// The most memory of any life, in KiB.
    pub(super) rss_at_most: Option<u64>,
}

/// `relaykeeper serve`, on the simulated vendors.
pub(super) struct Service {
    folder: PathBuf,
    database_url: String,
    environment: Vec<(&'static str, String)>,
    door: Door,
    backend: &'static str,
    child: Option<Child>,
    lives: Lives,
}

impl Service {
    pub(super) fn new(vendors: &Vendors, speed: f64, folder: PathBuf) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let door = Door::new(format!("http://127.0.0.1:{port}"))?;
        let database_url = format!("sqlite://{}?mode=rwc", folder.join(DATABASE).display());
        let mut environment = credentials(vendors);
        environment.extend(timers(speed));
        environment.extend([
            ("DATABASE_URL", database_url.clone()),
            ("RELAYKEEPER__SERVER__PORT", port.to_string()),
            ("RELAYKEEPER__SERVER__PUBLIC_URL", door.url.clone()),
            ("RELAYKEEPER_API_TOKENS", format!("{}-api", door.token)),
            ("RELAYKEEPER_ADMIN_TOKENS", door.token.clone()),
            ("RELAYKEEPER__RELAY__DEPLOYMENT", "soak".to_owned()),
        ]);
        Ok(Self {
            folder,
            database_url,
            environment,
            door,
            backend: "cloud_recording",
            child: None,
            lives: Lives::default(),
        })
    }

    pub(super) fn database_url(&self) -> &str {
        &self.database_url
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Begins a life, and waits until it is ready.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(LOG))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("AGORA_BACKEND", self.backend)
            // Far from any config.toml.
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the service cannot be started")?;
        self.child = Some(child);
        self.lives.started += 1;
        let deadline = Instant::now() + READY_WITHIN;
        while !self.door.is_ready().await {
            if let Some(died) = self.has_died() {
                bail!("the service ended before it was ready: {died}; see its log");
            }
            if Instant::now() >= deadline {
                bail!("the service did not become ready; see its log");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if self.lives.started == 1 {
            self.lives.rss_at_start = self.memory(memory::RESIDENT);
        }
        Ok(())
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.remember_memory();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.lives.killed += 1;
        }
    }

    /// SIGTERM, and what it takes until it has gone.
    pub(super) async fn terminate(&mut self) {
        self.remember_memory();
        let Some(child) = self.child.as_ref() else {
            return;
        };
        let told = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        if told.is_ok_and(|status| status.success()) {
            let deadline = Instant::now() + GONE_WITHIN;
            while Instant::now() < deadline {
                let ended = self.child.as_mut().map(Child::try_wait);
                if let Some(Ok(Some(status))) = ended {
                    self.child = None;
                    self.lives.told_to_go += 1;
                    if !status.success() {
                        self.lives.died.push(format!("on SIGTERM: {status}"));
                    }
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        self.lives.died.push("it did not go on SIGTERM".to_owned());
        self.kill();
    }

    /// How it ended, when it has ended by itself.
    fn has_died(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        let died = format!("in life {}: {status}", self.lives.started);
        self.lives.died.push(died.clone());
        Some(died)
    }

    fn memory(&self, which: &str) -> Option<u64> {
        memory::of(self.child.as_ref()?.id(), which)
    }

    fn remember_memory(&mut self) {
        self.lives.rss_at_end = self.memory(memory::RESIDENT);
        self.lives.rss_at_most = self.lives.rss_at_most.max(self.memory(memory::AT_MOST));
    }

    /// What its lives came to so far.
    pub(super) fn lives(&mut self) -> Lives {
        self.has_died();
        if self.child.is_some() {
            self.remember_memory();
        }
        self.lives.clone()
    }

    /// The lines of its log that say somebody must act.
    pub(super) fn errors(&self) -> Vec<String> {
        let log = std::fs::read(self.folder.join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(" ERROR "))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What happens to the process.
pub(super) struct Mishaps(StdRng);

impl Mishaps {
    pub(super) fn new(dice: &mut StdRng) -> Self {
        Self(StdRng::seed_from_u64(dice.random()))
    }

    /// Leaves the service no peace until the day is nearly over: killed first, that even a short day has it, and from then on
    /// three times in four. Each life has the other backend than the one before or the same, by chance: relays keep theirs.
    pub(super) async fn happen(
        mut self,
        service: &mut Service,
        day: Duration,
    ) -> anyhow::Result<()> {
        let over = Instant::now() + day.mul_f64(UNTIL);
        loop {
            let peace = day.mul_f64(self.0.random_range(0.02..0.05));
            let until = Instant::now() + peace.max(Duration::from_secs(3));
            while Instant::now() < until.min(over) {
                tokio::time::sleep(LOOK_EVERY).await;
                if service.has_died().is_some() {
                    service.start().await?;
                }
            }
            if Instant::now() >= over {
                return Ok(());
            }
            if service.lives.killed == 0 || self.0.random_bool(0.75) {
                service.kill();
            } else {
                service.terminate().await;
            }
            if self.0.random_bool(0.2) {
                // Whoever starts it again is slow.
                let down = Duration::from_secs_f64(self.0.random_range(0.5..4.0));
                tokio::time::sleep(down.min(day / 10)).await;
            }
            service.backend = if self.0.random_bool(0.5) {
                "cloud_recording"
            } else {
                "media_push"
            };
            service.start().await?;
        }
    }
}

/// The defaults of `config.toml`, as much shorter as the vendors are faster, but not shorter than a busy machine can keep.
/// Agora's rates stay as they are: a second of the vendors' is too short for any burst.
fn timers(speed: f64) -> Vec<(&'static str, String)> {
    let timer = |usual: u64, at_least_ms: u64| {
        let shortened = Duration::from_secs(usual).div_f64(speed);
        let timer = shortened.max(Duration::from_millis(at_least_ms));
        format!("{}ms", timer.as_millis())
    };
    let budget = Duration::from_secs(1200).mul_f64(speed).as_secs();
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
        (
            "RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF",
            "500ms,500ms,1s,1s,2s".to_owned(),
        ),
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

/// The vendors' addresses and what they let in.
fn credentials(vendors: &Vendors) -> Vec<(&'static str, String)> {
    [
        ("CLOUDFLARE_STREAM_ACCOUNT_ID", vendors.account_id()),
        (
            "CLOUDFLARE_STREAM_API_TOKEN",
            vendors.cloudflare_api_token(),
        ),
        (
            "CLOUDFLARE_API_BASE_URL",
            &vendors.cloudflare_api_base_url(),
        ),
        (
            "CLOUDFLARE_STREAM_CUSTOMER_BASE_URL",
            &vendors.customer_base_url(),
        ),
        (
            "CLOUDFLARE_LIVE_WEBHOOK_SECRET",
            vendors.live_webhook_secret(),
        ),
        (
            "CLOUDFLARE_STREAM_WEBHOOK_SECRET",
            vendors.stream_webhook_secret(),
        ),
        ("AGORA_APP_ID", vendors.agora_app_id()),
        ("AGORA_APP_CERTIFICATE", vendors.agora_app_certificate()),
        ("AGORA_CUSTOMER_ID", vendors.agora_customer_id()),
        ("AGORA_CUSTOMER_SECRET", vendors.agora_customer_secret()),
        ("AGORA_API_BASE_URL", &vendors.agora_base_url()),
        (
            "RELAYKEEPER__AGORA__FALLBACK_BASE_URLS",
            &vendors.agora_fallback_base_url(),
        ),
        ("AGORA_WEBHOOK_SECRET", vendors.agora_webhook_secret()),
        (
            "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__BUCKET",
            "soak",
        ),
        (
            "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__ACCESS_KEY",
            "soak",
        ),
        (
            "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
            "soak",
        ),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}
