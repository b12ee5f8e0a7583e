//! A full disk: the program's file size limit is lowered, then raised.

use std::process::Command;
use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::StatusCode;

use super::{notify_at, readyz, until_unready};
use crate::support::database::TestDatabase;
use crate::support::program::Program;
use crate::support::service::{changes, nothing_is_left, options, show};

fn limit(program: &Program, bytes: &str) {
    let set = Command::new("prlimit")
        .args(["--pid", &program.id().to_string()])
        .arg(format!("--fsize={bytes}:unlimited"))
        .status();
    assert!(set.is_ok_and(|status| status.success()), "prlimit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_pauses_the_service_until_there_is_room_again() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let mut program = Program::serve_unlimited(&vendors, AgoraBackend::MediaPush, &database.url);
    program.wait_until_ready().await;
    let service = &program.service;
    let relay = service.go_live(1, &show("show1")).await;

    // Smaller than the existing files: every write fails.
    limit(&program, "4096");
    let before = changes(&vendors);
    let another = show("show2");
    let (stop, start) = tokio::join!(service.stop_channel(1), service.start_channel(2, &another));
    for (status, problem) in [&stop, &start] {
        assert_eq!(
            (*status, &problem["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"database".into()),
            "{problem:#}"
        );
    }
    until_unready(service).await;
    // It stays unready: successful reads do not prove that there is room.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(5) {
        assert_eq!(readyz(service).await.0, 503);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(notify_at(service, &vendors).await, 503);
    let shown = service.get("/v1/channels/1").await;
    assert_eq!(shown["relay"]["phase"], "live", "{}", program.log());
    assert_eq!(
        changes(&vendors),
        before,
        "nothing is done whose intent is not stored"
    );

    limit(&program, "unlimited");
    service.wait_until_ready().await;
    // The stop was accepted and waited for room.
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
    assert_eq!(notify_at(service, &vendors).await, 200);
    service.go_live(2, &show("show2")).await;
    assert!(program.runs());
}
