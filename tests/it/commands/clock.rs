//! The wall clock is set by hours while relays are on air: a preloaded library adds an offset to it, not to the monotonic
//! clock.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::support::program::Program;
use crate::support::service::PATIENCE;

const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("CLOCK_OFFSET");
    if (failed || clock != CLOCK_REALTIME || !name) return failed;
    char text[32] = {0};
    int file = open(name, O_RDONLY);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
    close(file);
    return 0;
}
"#;

fn library(folder: &Path) -> String {
    let (source, library) = (folder.join("shifted.c"), folder.join("shifted.so"));
    std::fs::write(&source, SHIFTED).expect("written");
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler");
    assert!(built.success());
    library.to_str().expect("a path").to_owned()
}

/// About a step of about `seconds`.
async fn wait_for_alarm(service: &Service, seconds: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health = service.get("/v1/health").await;
        let alarms = health["alarms"].as_array().expect("alarms").clone();
        let about = |shown: i64| (shown - seconds).abs() < 60;
        let said = alarms.iter().any(|alarm| {
            let mut words = alarm["detail"].as_str().expect("text").split(' ');
            alarm["code"] == "clock-stepped" && words.any(|word| word.parse().is_ok_and(about))
        });
        if said {
            return;
        }
        assert!(Instant::now() < deadline, "no alarm: {alarms:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_by_hours_is_followed_and_ends_no_relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let offset = folder.path().join("offset");
    let set = |seconds: i64| {
        let draft = folder.path().join("draft");
        std::fs::write(&draft, seconds.to_string()).expect("written");
        std::fs::rename(&draft, &offset).expect("set");
    };
    set(-4 * 3600);
    let vendors = SimulatedVendors::start(options()).expect("vendors");
    let database = TestDatabase::sqlite();
    let library = library(folder.path());
    let more = [
        ("LD_PRELOAD", library.as_str()),
        ("CLOCK_OFFSET", offset.to_str().expect("a path")),
    ];
    let mut program = Program::serve(&vendors, AgoraBackend::MediaPush, &database.url, &more);
    program.wait_until_ready().await;
    let service = &program.service;
    let first = service.go_live(1, &show("show1")).await;
    assert!(
        since(&first["requested_at"]) > TimeDelta::hours(3),
        "it starts four hours slow"
    );

    set(0);
    wait_for_alarm(service, 4 * 3600).await;
    let second = service.go_live(2, &show("show2")).await;
    assert!(
        since(&second["requested_at"]) < TimeDelta::minutes(5),
        "it follows"
    );
    let first = service.in_phase(&first, "live").await;
    assert!(first["live_seconds"].as_u64() < Some(300), "{first:#}");
    assert_eq!(first["outcome"], Value::Null, "max_duration is two hours");

    set(-4 * 3600);
    wait_for_alarm(service, -4 * 3600).await;
    for relay in [&first, &second] {
        let relay = service.in_phase(relay, "live").await;
        assert!(relay["live_seconds"].as_u64() < Some(300), "{relay:#}");
    }
    for channel in [1, 2] {
        let ended = service.come_down(channel).await;
        assert_eq!(ended["outcome"]["code"], "stopped_by_request");
    }
}

fn since(time: &Value) -> TimeDelta {
    let time: DateTime<Utc> = time.as_str().expect("a time").parse().expect("a time");
    Utc::now() - time
}
