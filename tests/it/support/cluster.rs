//! A PostgreSQL server that a test may stop and start.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Stopped and removed when dropped.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

/// PostgreSQL refuses to run as root.
const USER: &str = "postgres";

impl Cluster {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let folder = tempfile::Builder::new()
            .prefix("relaykeeper-postgres")
            .tempdir_in("/tmp")
            .expect("a folder");
        let cluster = Self {
            programs: programs(),
            folder,
            port,
        };
        if is_root() {
            let given = Command::new("chown")
                .arg(USER)
                .arg(cluster.folder.path())
                .status();
            assert!(given.is_ok_and(|status| status.success()), "chown");
        }
        cluster.run(
            "initdb",
            &[
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        cluster.start_again();
        cluster
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// `fast` closes connections; `immediate` acts as a crash.
    pub fn stop(&mut self, mode: &str) {
        self.run("pg_ctl", &["-m", mode, "-w", "-t", "30", "stop"]);
    }

    pub fn start_again(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off",
            self.port
        );
        let log = self.folder.path().join("data/log");
        let log = log.to_str().expect("a plain path");
        self.run(
            "pg_ctl",
            &["-l", log, "-w", "-t", "30", "-o", &options, "start"],
        );
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let done = command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            done.as_ref().is_ok_and(|status| status.success()),
            "{command:?}: {done:?}"
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.stop("immediate");
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout == b"0\n"
}

/// The folder of `initdb` on the PATH, else Debian's newest version.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.join("initdb").exists());
    let real = |folder: PathBuf| {
        let initdb = folder.join("initdb").canonicalize().unwrap_or_default();
        initdb.parent().map(Path::to_path_buf).unwrap_or_default()
    };
    let version = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.parse::<u32>().unwrap_or(0)
    };
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut debian: Vec<_> = debian.flatten().map(|entry| entry.path()).collect();
    debian.sort_by_key(version);
    on_path
        .map(real)
        .chain(debian.into_iter().rev().map(|folder| folder.join("bin")))
        .find(|folder| folder.join("pg_ctl").exists())
        .expect("PostgreSQL's programs")
}
