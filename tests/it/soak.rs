//! A short day of faults and crashes, and a long one's promises: `relaykeeper soak`, as it is typed.
#![cfg(feature = "sandbox")]

use std::process::Command;

use serde_json::Value;

#[test]
fn after_a_short_day_of_faults_and_crashes_nothing_is_left_and_nothing_lost() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_relaykeeper"))
        .args([
            "soak", "--relays", "16", "--hours", "0.35", "--speed", "100",
        ])
        // A stop that met a 404 at the end of the day is looked for again 30 s later.
        .args(["--settle", "45s", "--report", "day.json"])
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{complained}");
    assert!(said.contains("Everything that must hold holds."), "{said}");
    let day = std::fs::read(folder.path().join("day.json")).unwrap();
    let day: Value = serde_json::from_slice(&day).unwrap();
    assert_eq!(day["started"], 16);
    for troubled in [
        &day["faults"],
        &day["lives"]["killed"],
        &day["ledger"]["rows"],
    ] {
        assert!(troubled.as_u64().unwrap() > 0, "{day:#}");
    }
}

#[test]
fn a_day_that_does_not_come_to_rest_exits_1_and_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_relaykeeper"))
        .args([
            "soak", "--relays", "40", "--hours", "0.02", "--speed", "100",
        ])
        .args(["--settle", "0s", "--seed", "3"])
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("What must hold does not"), "{said}");
}
