//! `relaykeeper serve`, killed at crash points and restarted on the same database and port.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use relaykeeper::actors::crash;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;

use super::program::{environment, serve};

#[derive(Debug, Clone, Default)]
pub struct Life {
    /// A crash point, as `before_save:3`.
    pub killed_at: Option<String>,
    pub reached: Vec<String>,
    pub log: Vec<String>,
}

#[derive(Debug)]
pub struct RestartingService {
    /// The same for all processes.
    pub url: String,
    closing: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    lives: Arc<Mutex<Vec<Life>>>,
    service: Option<JoinHandle<()>>,
}

impl RestartingService {
    /// Kills each process at the next of `points`. `further`: variables.
    pub fn open(
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database_url: &str,
        points: &[String],
        further: Vec<(&'static str, String)>,
    ) -> Self {
        let port = a_port();
        let mut environment = environment(vendors, backend, database_url, port);
        environment.extend(TIMERS.map(|(name, value)| (name, value.to_owned())));
        environment.extend(further);
        let url = format!("http://127.0.0.1:{port}");
        let closing = Arc::<AtomicBool>::default();
        let child = Arc::<Mutex<Option<Child>>>::default();
        let lives = Arc::<Mutex<Vec<Life>>>::default();
        let service = std::thread::spawn({
            let (closing, child, lives) = (closing.clone(), child.clone(), lives.clone());
            let points = points.to_vec();
            move || {
                // Without a config.toml.
                let folder = tempfile::tempdir().expect("a folder");
                for life in 0.. {
                    let at = points.get(life).map_or("", String::as_str);
                    let mut command = serve(environment.clone());
                    command
                        .env(crash::AT, at)
                        .current_dir(folder.path())
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::piped());
                    let stderr = {
                        let mut child = child.lock().unwrap();
                        if closing.load(Ordering::SeqCst) {
                            return;
                        }
                        let mut started = command.spawn().expect("the binary starts");
                        let stderr = started.stderr.take().expect("it is piped");
                        *child = Some(started);
                        stderr
                    };
                    lives.lock().unwrap().push(Life::default());
                    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                        let mut lives = lives.lock().unwrap();
                        let life = lives.last_mut().expect("it was begun");
                        if let Some(point) = line.strip_prefix(crash::REACHED) {
                            life.reached.push(point.to_owned());
                        } else if let Some(point) = line.strip_prefix(crash::HERE) {
                            life.reached.push(point.to_owned());
                            life.killed_at = Some(point.to_owned());
                            kill(&child);
                        } else {
                            life.log.push(line);
                        }
                    }
                    if let Some(mut dead) = child.lock().unwrap().take() {
                        let _ = dead.wait();
                    }
                    if !closing.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
        });
        Self {
            url,
            closing,
            child,
            lives,
            service: Some(service),
        }
    }

    pub fn lives(&self) -> Vec<Life> {
        self.lives.lock().unwrap().clone()
    }

    /// Without the lines of requests.
    pub fn log(&self) -> String {
        let lives = self.lives();
        let logs = lives.iter().enumerate().map(|(number, life)| {
            let killed_at = life.killed_at.as_deref().unwrap_or("the end");
            let lines = life.log.iter().filter(|line| !line.contains(" request{"));
            let lines: Vec<_> = lines.map(String::as_str).collect();
            format!(
                "-- process {number}, until {killed_at}\n{}\n",
                lines.join("\n")
            )
        });
        logs.collect()
    }

    fn close(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        kill(&self.child);
        if let Some(service) = self.service.take() {
            let _ = service.join();
        }
    }
}

impl Drop for RestartingService {
    fn drop(&mut self) {
        self.close();
    }
}

fn kill(child: &Mutex<Option<Child>>) {
    if let Some(child) = child.lock().unwrap().as_mut() {
        let _ = child.kill();
    }
}

/// A port outside the ephemeral range, so that it stays free between processes.
fn a_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(rand::random_range(10_000..19_000)));
    loop {
        let port = 10_000 + next.fetch_add(1, Ordering::SeqCst) % 9_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

const TIMERS: [(&str, &str); 15] = [
    ("RUST_LOG", "info,relaykeeper=debug,sqlx=warn"),
    ("RELAYKEEPER__FLEET__LEASE", "6s"),
    ("RELAYKEEPER__FLEET__RENEWAL", "1s"),
    ("RELAYKEEPER__RELAY__PROVISIONING_TIMEOUT", "30s"),
    ("RELAYKEEPER__RELAY__LIVE_TIMEOUT", "25s"),
    ("RELAYKEEPER__RELAY__RECONNECT_WINDOW", "30s"),
    // Expires only if an egress's session is unknown. Longer than a restart on a loaded machine.
    ("RELAYKEEPER__RELAY__FEED_TIMEOUT", "25s"),
    ("RELAYKEEPER__RELAY__RECORDING_TIMEOUT", "30s"),
    ("RELAYKEEPER__JANITOR__INTERVAL", "1s"),
    ("RELAYKEEPER__JANITOR__GRACE", "10m"),
    ("RELAYKEEPER__VENDORS__READ_TIMEOUT", "5s"),
    ("RELAYKEEPER__VENDORS__WRITE_TIMEOUT", "5s"),
    ("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", "100ms,200ms,400ms"),
    (
        "RELAYKEEPER__AGORA__CLOUD_RECORDING__QUERY_INTERVAL",
        "500ms",
    ),
    ("RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL", "500ms"),
];
