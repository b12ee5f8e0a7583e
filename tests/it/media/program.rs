//! `relaykeeper sandbox --media` as a program.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::service::{API_TOKEN, Service, show, until};

const SOON: Duration = Duration::from_secs(20);

/// Killed when dropped.
fn sandbox(folder: &tempfile::TempDir) -> Command {
    let mut sandbox = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    sandbox
        .args(["sandbox", "--media"])
        .env_clear()
        .current_dir(folder)
        .kill_on_drop(true);
    sandbox
}

/// What it says when it refuses to start.
async fn refusal(sandbox: &mut Command) -> String {
    let ended = timeout(SOON, sandbox.output()).await;
    let ended = ended.expect("it goes on").unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

#[tokio::test]
async fn it_needs_ffmpeg_and_real_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let errors = refusal(sandbox(&folder).env("PATH", "")).await;
    assert!(
        errors.contains("install it, for example with `apt-get install ffmpeg`"),
        "{errors}"
    );
    for other in [
        ["--speed", "4"].as_slice(),
        &["--demo"],
        &["--demo-fleet", "3"],
    ] {
        let errors = refusal(sandbox(&folder).args(other)).await;
        assert!(errors.contains("cannot be used with"), "{errors}");
    }
}

/// The children of a process.
fn children(process: u32) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let is_child = |path: &std::path::PathBuf| {
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let mut lines = status.lines();
        lines.any(|line| line.strip_prefix("PPid:").map(str::trim) == Some(&process.to_string()))
    };
    all.map(|entry| entry.path()).filter(is_child).collect()
}

/// One that ended, and was not waited for, has no command.
fn is_running(process: &std::path::Path) -> bool {
    std::fs::read(process.join("cmdline")).is_ok_and(|command| !command.is_empty())
}

#[tokio::test]
async fn its_encoders_end_when_it_is_killed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut program = sandbox(&folder)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .args([
            "--port",
            "0",
            "--backend",
            "media_push",
            "--api-token",
            API_TOKEN,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().expect("an address");
        if let Some(address) = line.trim().strip_prefix("address ") {
            break address.trim().to_owned();
        }
    };
    let service = Service::at(url);
    service.start_channel(42, &show("show68")).await;
    let process = program.id().unwrap();
    until("an encoder", async || !children(process).is_empty()).await;
    let encoders = children(process);
    program.kill().await.unwrap();
    let are_gone = until("without encoders", async || {
        !encoders.iter().any(|one| is_running(one))
    });
    assert!(timeout(SOON, are_gone).await.is_ok(), "{encoders:?}");
}
