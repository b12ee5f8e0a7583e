//! Clients that others wrote agree with the API: what `scripts/contract` runs.
#![cfg(feature = "sandbox")]

use std::process::Command;

use rstest::rstest;

#[rstest]
#[case::node("node")]
#[case::schemathesis("schemathesis")]
#[ignore = "needs Node and Python, which scripts/contract installs"]
fn external_clients_agree_with_the_api(#[case] clients: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/contract");
    let output = Command::new(script)
        .arg(clients)
        .env("RELAYKEEPER_PROGRAM", env!("CARGO_BIN_EXE_relaykeeper"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
