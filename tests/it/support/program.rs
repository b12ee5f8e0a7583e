//! Runs `relaykeeper` as a child process on simulated vendors.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;

use super::service::{ADMIN_TOKEN, API_TOKEN, Service};

pub const STORAGE_ACCESS_KEY: &str = "storage-access-key-of-the-tests";
pub const STORAGE_SECRET_KEY: &str = "storage-secret-key-of-the-tests";

const TIMERS: [(&str, &str); 14] = [
    ("RELAYKEEPER__SERVER__SHUTDOWN_GRACE", "3s"),
    ("RELAYKEEPER__FLEET__LEASE", "6s"),
    ("RELAYKEEPER__FLEET__RENEWAL", "1s"),
    ("RELAYKEEPER__RELAY__LIVE_TIMEOUT", "20s"),
    ("RELAYKEEPER__RELAY__RECONNECT_WINDOW", "20s"),
    ("RELAYKEEPER__RELAY__FEED_TIMEOUT", "20s"),
    ("RELAYKEEPER__RELAY__PROVISIONING_TIMEOUT", "10s"),
    ("RELAYKEEPER__RELAY__RECORDING_TIMEOUT", "8s"),
    ("RELAYKEEPER__JANITOR__INTERVAL", "1s"),
    ("RELAYKEEPER__JANITOR__GRACE", "60s"),
    ("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", "100ms,200ms,400ms"),
    (
        "RELAYKEEPER__AGORA__CLOUD_RECORDING__QUERY_INTERVAL",
        "500ms",
    ),
    ("RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL", "500ms"),
    ("RUST_BACKTRACE", "0"),
];

pub fn environment(
    vendors: &SimulatedVendors,
    backend: AgoraBackend,
    database_url: &str,
    port: u16,
) -> Vec<(&'static str, String)> {
    let backend = match backend {
        AgoraBackend::CloudRecording => "cloud_recording",
        AgoraBackend::MediaPush => "media_push",
    };
    let mut environment = vendors.environment();
    environment.extend([
        ("AGORA_BACKEND", backend.to_owned()),
        ("DATABASE_URL", database_url.to_owned()),
        ("RELAYKEEPER_API_TOKENS", API_TOKEN.to_owned()),
        ("RELAYKEEPER_ADMIN_TOKENS", ADMIN_TOKEN.to_owned()),
        ("RELAYKEEPER__SERVER__PORT", port.to_string()),
        (
            "RELAYKEEPER__SERVER__PUBLIC_URL",
            format!("http://127.0.0.1:{port}"),
        ),
        ("RELAYKEEPER__RELAY__DEPLOYMENT", "tests".to_owned()),
        ("RELAYKEEPER__RELAY__POLL_INTERVAL", "200ms".to_owned()),
        (
            "RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL",
            "300ms".to_owned(),
        ),
        (
            "RELAYKEEPER__CLOUDFLARE__RECORDINGS_INTERVAL",
            "300ms".to_owned(),
        ),
    ]);
    environment
}

pub fn serve(environment: Vec<(&'static str, String)>) -> Command {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    serve.arg("serve").env_clear().envs(environment);
    serve
}

/// Killed when dropped.
pub struct Program {
    pub service: Service,
    child: Child,
    log: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Program {
    /// `more`: environment variables.
    pub fn serve(
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database_url: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
        serve.arg("serve");
        Self::spawn(serve, vendors, backend, database_url, more)
    }

    /// Ignores SIGXFSZ: a write beyond the file size limit fails instead of killing the process.
    pub fn serve_unlimited(
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database_url: &str,
    ) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "trap '' XFSZ; exec \"$0\" serve"])
            .arg(env!("CARGO_BIN_EXE_relaykeeper"));
        Self::spawn(shell, vendors, backend, database_url, &[])
    }

    /// `files`: the hard limit of open files; the soft limit is half of it.
    pub fn serve_with_files(
        files: u32,
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database_url: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let mut shell = Command::new("/bin/sh");
        let script = format!(
            "ulimit -S -n {} && ulimit -H -n {files} && exec \"$0\" serve",
            files / 2
        );
        shell
            .args(["-c", &script])
            .arg(env!("CARGO_BIN_EXE_relaykeeper"));
        Self::spawn(shell, vendors, backend, database_url, more)
    }

    fn spawn(
        mut command: Command,
        vendors: &SimulatedVendors,
        backend: AgoraBackend,
        database_url: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        command
            .env_clear()
            .envs(environment(vendors, backend, database_url, port))
            .envs(TIMERS)
            .env(
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__ACCESS_KEY",
                STORAGE_ACCESS_KEY,
            )
            .env(
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
                STORAGE_SECRET_KEY,
            )
            .envs(more.iter().copied());
        Self::start_elsewhere(command, port)
    }

    /// Runs the command in a folder without a config.toml.
    pub fn start_elsewhere(mut command: Command, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        command.current_dir(folder.path());
        let mut program = Self::start(command, port, folder.path().join("log"));
        program._folder = Some(folder);
        program
    }

    /// `port`: where the command serves. Its log is appended to this file.
    pub fn start(mut command: Command, port: u16, log: PathBuf) -> Self {
        let append = OpenOptions::new().create(true).append(true).open(&log);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(append.expect("a file"))
            .spawn()
            .expect("the program starts");
        Self {
            service: Service::at(format!("http://127.0.0.1:{port}")),
            child,
            log,
            _folder: None,
        }
    }

    pub fn log(&self) -> String {
        let log = std::fs::read(&self.log).expect("a log");
        String::from_utf8_lossy(&log).into_owned()
    }

    pub async fn wait_until_ready(&mut self) {
        let ready = self.service.wait_until_ready();
        tokio::pin!(ready);
        loop {
            tokio::select! {
                () = &mut ready => return,
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                    let ended = self.child.try_wait().expect("a child");
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    assert!(ended.is_none(), "it ended: {ended:?}\n{log}");
                }
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub fn runs(&mut self) -> bool {
        self.exit_status().is_none()
    }

    pub async fn ends(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + super::service::PATIENCE;
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "it is there");
    }

    /// Waits until it exits.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        let status = self.child.wait().expect("an exit code");
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
