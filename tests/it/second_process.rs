//! Two processes on one SQLite file: one acts; the other serves reads and takes over when the first ends.
#![cfg(feature = "sandbox")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::database::TestDatabase;
use crate::support::platform::TestPlatform;
use crate::support::program::Program;
use crate::support::service::{
    Answer, calls, options, show, until_nothing_is_left, vendors_when, violations,
};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

#[derive(Clone, Copy)]
enum End {
    Killed,
    Terminated,
}

async fn takes_over(platform: TestPlatform, backend: AgoraBackend, end: End) {
    let database = TestDatabase::sqlite();
    let vendors = SimulatedVendors::start(options()).unwrap();
    let environment = platform.environment_as_default(&vendors);
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let environment: Vec<_> = environment.collect();
    let serve = || Program::serve(&vendors, backend, &database.url, &environment);
    let mut first = serve();
    first.wait_until_ready().await;
    let relay = first.service.go_live(42, &show("show68")).await;
    let path = format!("/v1/relays/{}", relay["id"].as_str().unwrap());

    let mut second = serve();
    waits_and_reads(&vendors, &mut second, &path).await;
    let waits_for = format!("Process {} holds the database", first.id());
    let asked = Answer::to(second.service.request(Method::GET, "/readyz")).await;
    let detail = asked.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&waits_for), "{asked:#?}");
    assert!(second.log().contains(&first.id().to_string()));

    match end {
        End::Killed => first.kill(),
        End::Terminated => first.terminate(),
    }
    second.wait_until_ready().await;
    let polled = calls(&vendors, platform.poll()).len();
    vendors_when(&vendors, "polled by the second", |vendors| {
        (calls(vendors, platform.poll()).len() >= polled + 3).then_some(())
    })
    .await;
    let adopted = second.service.relay_when(&relay, "live", |_| true).await;
    assert_eq!(adopted["phase"], "live");
    assert_eq!(adopted["agora"], relay["agora"]);
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 1));
    let again = second
        .service
        .post("/v1/channels/42/start", &[], &show("show68"))
        .await;
    assert_eq!((again.status, &again.body["id"]), (200, &relay["id"]));
    let relay = second.service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    until_nothing_is_left(&vendors).await;
    assert_eq!(violations(&vendors), [""; 0]);
}

/// It serves stored data and makes no calls.
async fn waits_and_reads(vendors: &SimulatedVendors, second: &mut Program, path: &str) {
    alive(second).await;
    let service = &second.service;
    let get = async |path: &str| Answer::to(service.request(Method::GET, path)).await;
    get("/readyz").await.is_problem(503, "starting");
    let relay = get(path).await;
    assert_eq!((relay.status, &relay.body["phase"]), (200, &json!("live")));
    for path in [
        "/v1/channels/42",
        "/v1/channels/42/playback",
        "/v1/channels/42/relays",
        "/v1/relays?phase=live",
        "/v1/costs",
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, 200, "{path} {answer:#?}");
    }
    for (channel, body) in [(42, show("show68")), (43, show("show69"))] {
        let path = format!("/v1/channels/{channel}/start");
        let answer = service.post(&path, &[], &body).await;
        answer.is_problem(503, "starting");
        assert!(!answer.header("retry-after").is_empty());
    }
    let stop = service.post("/v1/channels/42/stop", &[], &json!({})).await;
    stop.is_problem(503, "starting");
    let notice = json!({ "name": "Live Webhook", "data": { "event_type": "live_input.connected", "input_id": "x" } });
    let answer = service
        .request(Method::POST, "/webhooks/cloudflare/live")
        .header("cf-webhook-auth", vendors.live_webhook_secret())
        .json(&notice);
    Answer::to(answer).await.is_problem(503, "starting");
    assert_eq!(get("/livez").await.status, 200);
    assert!(second.runs(), "it waits");
    assert_eq!(vendors.state().live_inputs.len(), 1);
}

async fn alive(program: &mut Program) {
    let deadline = std::time::Instant::now() + crate::support::service::PATIENCE;
    loop {
        let asked = program.service.request(Method::GET, "/livez").send().await;
        if asked.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        assert!(program.runs(), "it ended:\n{}", program.log());
        assert!(std::time::Instant::now() < deadline, "{}", program.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[rstest]
#[case::cloudflare(TestPlatform::Cloudflare, AgoraBackend::CloudRecording)]
#[case::cloudflare_media_push(TestPlatform::Cloudflare, AgoraBackend::MediaPush)]
#[case::ivs(TestPlatform::Ivs, AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_second_process_serves_reads_and_takes_over_after_a_crash(
    #[case] platform: TestPlatform,
    #[case] backend: AgoraBackend,
) {
    takes_over(platform, backend, End::Killed).await;
}

#[rstest]
#[case::cloudflare(TestPlatform::Cloudflare)]
#[case::mux(TestPlatform::Mux)]
#[tokio::test]
async fn a_second_process_takes_over_when_the_first_is_terminated(#[case] platform: TestPlatform) {
    takes_over(platform, AgoraBackend::MediaPush, End::Terminated).await;
}

/// Including its lock.
fn files(database: &TestDatabase) -> Vec<std::path::PathBuf> {
    let file = database.url.trim_start_matches("sqlite://");
    let file = Path::new(file.split('?').next().unwrap());
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let found = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let found = found.map(|one| one.unwrap().path());
    found
        .filter(|one| {
            one.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&name)
        })
        .collect()
}

#[tokio::test]
async fn a_process_whose_database_was_taken_over_is_not_ready_and_ends() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let backend = AgoraBackend::MediaPush;
    let mut first = Program::serve(&vendors, backend, &database.url, &[]);
    first.wait_until_ready().await;
    let relay = first.service.go_live(42, &show("show68")).await;
    for file in files(&database) {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}");
    }
    // SIGHUP reloads a certificate, if there is one.
    first.signal("HUP");
    let lock = files(&database);
    let lock = lock
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "lock"));
    std::fs::remove_file(lock.unwrap()).unwrap();
    let mut second = Program::serve(&vendors, backend, &database.url, &[]);
    second.wait_until_ready().await;
    let status = first.ends().await;
    assert!(!status.success(), "{status}");
    let log = first.log();
    assert!(log.contains("took over the database"), "{log}");
    let relay = second.service.in_phase(&relay, "live").await;
    assert_eq!(relay["agora"]["replacements"], 0);
    second.service.come_down(42).await;
    assert_eq!(violations(&vendors), [""; 0]);
}

#[tokio::test]
async fn serve_refuses_a_database_in_memory() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    for url in ["sqlite::memory:", "sqlite://x.db?mode=memory"] {
        let mut program = Program::serve(&vendors, AgoraBackend::MediaPush, url, &[]);
        let status = program.ends().await;
        assert!(!status.success(), "{url}");
        let log = program.log();
        assert!(log.contains("in memory"), "{log}");
    }
}
