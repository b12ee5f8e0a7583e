//! `relaykeeper sandbox --media` as a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::service::{API_TOKEN, Service, show, until};

fn sandbox(folder: &tempfile::TempDir) -> Command {
    let mut sandbox = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    sandbox
        .args(["sandbox", "--media"])
        .env_clear()
        .current_dir(folder);
    sandbox
}

#[test]
fn it_needs_ffmpeg_and_real_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let said = sandbox(&folder).env("PATH", "").output().unwrap();
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(!said.status.success());
    assert!(
        errors.contains("install it, for example with `apt-get install ffmpeg`"),
        "{errors}"
    );
    for other in [
        ["--speed", "4"].as_slice(),
        &["--demo"],
        &["--demo-fleet", "3"],
    ] {
        let said = sandbox(&folder).args(other).output().unwrap();
        let errors = String::from_utf8(said.stderr).unwrap();
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
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let url = lines.find_map(|line| Some(line.trim().strip_prefix("address ")?.trim().to_owned()));
    let service = Service::at(url.unwrap());
    service.start_channel(42, &show("show68")).await;
    until("an encoder", async || !children(program.id()).is_empty()).await;
    let encoders = children(program.id());
    program.kill().unwrap();
    program.wait().unwrap();
    until("without encoders", async || {
        !encoders.iter().any(|one| is_running(one))
    })
    .await;
}
