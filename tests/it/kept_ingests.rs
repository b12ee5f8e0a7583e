//! A channel keeps its ingest: every show has the same URL and its own recording, and nothing publishes between shows.
#![cfg(feature = "sandbox")]

use std::time::{Duration, Instant};

use relaykeeper::config::{AgoraBackend, DefaultIngestOwner, Settings};
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::service::{
    Answer, PATIENCE, Service, Stage, alive, calls, options, publish_url, settings, show, until,
    until_nothing_is_left, violations,
};

pub(crate) const INGEST: &str = "/v1/channels/42/ingest";

pub(crate) fn kept(settings: &mut Settings) {
    settings.ingest.owner = DefaultIngestOwner::Channel;
}

async fn stage(backend: AgoraBackend) -> Stage {
    Stage::with(backend, options(), kept).await
}

pub(crate) async fn ingests(service: &Service) -> Vec<Value> {
    let page = service.get("/v1/ingests").await;
    assert_eq!(page["next_cursor"], Value::Null);
    page["ingests"].as_array().unwrap().clone()
}

pub(crate) async fn give_up(service: &Service) -> Answer {
    Answer::to(service.request(Method::DELETE, INGEST)).await
}

pub(crate) async fn until_released(service: &Service) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = ingests(service).await;
        if held.iter().all(|one| one["relay_id"].is_null()) {
            return;
        }
        assert!(Instant::now() < deadline, "never released: {held:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The reconnect window is over.
pub(crate) async fn long_after(database: &TestDatabase) {
    let raw = database.raw().await;
    raw.execute("UPDATE kept_ingests SET quiet_since = '2020-01-01T00:00:00+00:00'")
        .await;
}

/// Calls to Cloudflare's API about ingests, but for the janitor's.
fn ingest_calls(vendors: &SimulatedVendors) -> Vec<&'static str> {
    let calls = vendors.state().calls.into_iter().map(|record| record.call);
    calls
        .filter(|call| call.contains("live_inputs") && !call.ends_with(".list"))
        .collect()
}

pub(crate) fn recording(relay: &Value) -> String {
    let recordings = relay["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 1, "{relay:#}");
    assert_eq!(relay["cost"]["source"], "recording", "{relay:#}");
    recordings[0]["id"].as_str().unwrap().to_owned()
}

async fn two_shows(stage: &Stage, soon: bool) {
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    assert_eq!(first["ingest_owner"], "channel");
    let kept = ingests(service).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["relay_id"], first["id"]);
    assert_eq!(kept[0]["ingest_id"], first["stream_key_id"]);
    assert_eq!(kept[0]["hls_playback_url"], first["hls_playback_url"]);
    give_up(service).await.is_problem(409, "conflict");
    let (status, _) = service.stop_channel(42).await;
    assert_eq!(status, 202);
    until_released(service).await;
    if !soon {
        service.in_phase(&first, "ended").await;
        long_after(&stage.database).await;
    }

    let before = ingest_calls(vendors).len();
    let second = service.go_live(42, &show("show68")).await;
    assert_eq!(second["hls_playback_url"], first["hls_playback_url"]);
    assert_eq!(second["stream_key_id"], first["stream_key_id"]);
    let second = service.come_down(42).await;
    let made = ingest_calls(vendors).split_off(before);
    let expected: &[&str] = match soon {
        true => &["cloudflare.live_inputs.update"; 2],
        false => &[],
    };
    assert_eq!(made, expected);
    let first = service.in_phase(&first, "ended").await;
    assert_ne!(recording(&first), recording(&second));
    assert_eq!(vendors.state().live_inputs.len(), 1);
    assert!(!vendors.state().live_inputs[0].deleted);
    assert!(alive(vendors).is_empty());
    assert_eq!(stage.count("SELECT COUNT(*) FROM cleanup_jobs").await, 0);

    let given_up = give_up(service).await;
    assert_eq!(given_up.status, 202, "{given_up:?}");
    assert_eq!(given_up.body["ingest_id"], first["stream_key_id"]);
    until_nothing_is_left(vendors).await;
    give_up(service).await.is_problem(404, "not-found");
    let elsewhere = service.request(Method::DELETE, &format!("{INGEST}?platform=unknown"));
    let refused = Answer::to(elsewhere).await;
    refused.is_problem(422, "invalid-request");
    assert_eq!(refused.body["errors"][0]["pointer"], "/platform");
    assert_eq!(violations(vendors), [""; 0]);
}

#[rstest]
#[tokio::test]
async fn two_shows_have_one_url_and_each_its_recording(
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
    #[values(true, false)] soon: bool,
) {
    two_shows(&stage(backend).await, soon).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn on_postgresql_two_shows_have_one_url_and_each_its_recording(
    #[values(true, false)] soon: bool,
) {
    let database = TestDatabase::postgres().await;
    crate::support::database::on(database, async move |database: TestDatabase| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let backend = AgoraBackend::CloudRecording;
        let mut settings = settings(&vendors, backend, &database.url);
        kept(&mut settings);
        let service = Service::start(settings).await;
        let stage = Stage {
            vendors,
            service,
            database,
        };
        two_shows(&stage, soon).await;
    })
    .await;
}

#[tokio::test]
async fn a_start_names_its_ingests_owner_and_a_relays_own_ingest_is_not_kept() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let service = &stage.service;
    let mut body = show("show68");
    body["ingest_owner"] = json!("seller");
    let refused = service.post("/v1/channels/42/start", &[], &body).await;
    refused.is_problem(422, "invalid-request");
    assert_eq!(refused.body["errors"][0]["pointer"], "/ingest_owner");
    body["ingest_owner"] = json!("relay");
    let relay = service.go_live(42, &body).await;
    assert_eq!(relay["ingest_owner"], "relay");
    assert_eq!(ingests(service).await, [] as [Value; 0]);
    service.come_down(42).await;
    stage.settles().await;
}

#[tokio::test]
async fn the_url_is_known_before_a_show_while_there_is_no_recording() {
    let stage = stage(AgoraBackend::MediaPush).await;
    stage.vendors.set_seller("show68", None, false);
    let service = &stage.service;
    // Whether the egress publishes anything before the stop is a matter of time.
    let mut body = show("show68");
    body["enable_recording"] = json!(false);
    let (_, relay) = service.start_channel(42, &body).await;
    let relay = service.in_phase(&relay, "awaiting_live").await;
    service.come_down(42).await;
    let playback = service.get("/v1/channels/42/playback").await;
    assert_eq!(playback["hls_url"], relay["hls_playback_url"]);
    assert_eq!(playback["source"], "ingest");
    assert_eq!(playback["is_live"], false);
    assert_eq!(playback["relay_id"], Value::Null);
}

#[tokio::test]
async fn after_a_restart_the_key_is_read_once() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    kept(&mut settings);
    let service = Service::start(settings.clone()).await;
    service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    service.shut_down();
    let service = Service::start(settings).await;
    for _ in 0..2 {
        long_after(&database).await;
        service.go_live(42, &show("show68")).await;
        service.come_down(42).await;
    }
    assert_eq!(calls(&vendors, VendorCall::LiveInputGet).len(), 1);
    assert_eq!(calls(&vendors, VendorCall::LiveInputCreate).len(), 1);
}

/// The vendor answers no stop.
#[tokio::test]
async fn an_egress_that_is_not_proved_gone_cannot_publish_into_the_next_show() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    let mut fault = VendorFault::once(VendorCall::ConverterDelete, FaultKind::Status(503, None));
    fault.times = None;
    vendors.fault(fault);
    service.stop_channel(42).await;
    until("renewed", async || {
        calls(vendors, VendorCall::LiveInputRotateKeys).len() == 1
    })
    .await;
    assert!(!alive(vendors).iter().any(|egress| egress.publishing));
    vendors.clear_faults();
    service.in_phase(&first, "ended").await;
    long_after(&stage.database).await;
    let second = service.go_live(42, &show("show68")).await;
    assert_eq!(second["hls_playback_url"], first["hls_playback_url"]);
    let second = service.come_down(42).await;
    assert_ne!(
        recording(&first_again(service, &first).await),
        recording(&second)
    );
    assert_eq!(calls(vendors, VendorCall::LiveInputGet).len(), 0);
    assert_eq!(violations(vendors), [""; 0]);
}

async fn first_again(service: &Service, relay: &Value) -> Value {
    let id = relay["id"].as_str().unwrap();
    service.get(&format!("/v1/relays/{id}")).await
}

#[tokio::test]
async fn what_publishes_between_shows_loses_the_key() {
    let stage = stage(AgoraBackend::MediaPush).await;
    stage.webhooks_on();
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    let ingest = relay["stream_key_id"].as_str().unwrap();
    let url = publish_url(vendors, ingest).await;
    vendors.publish(&url, "stray").unwrap();
    until("renewed", async || {
        calls(vendors, VendorCall::LiveInputRotateKeys).len() == 1
    })
    .await;
    vendors.publish(&url, "stray").unwrap_err();
    until("at rest", async || {
        stage.count("SELECT COUNT(*) FROM cleanup_jobs").await == 0
    })
    .await;
    let renewed = "SELECT COUNT(*) FROM kept_ingests WHERE holder IS NULL AND key_version = 1";
    assert_eq!(stage.count(renewed).await, 1);
    assert_eq!(calls(vendors, VendorCall::LiveInputUpdate).len(), 0);
    service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
}

#[tokio::test]
async fn the_janitor_leaves_a_kept_ingest_and_a_show_replaces_one_that_is_gone() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        kept(settings);
        settings.janitor.grace = Duration::from_millis(1);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    let sweep = service.as_admin(Method::POST, "/admin/sweep?dry_run=false");
    let sweep = Answer::to(sweep).await.body;
    assert_eq!(sweep["findings"][0]["verdict"], "retained", "{sweep:#}");
    assert!(!vendors.state().live_inputs[0].deleted);

    // An operator deletes it by hand; the next show needs its broadcast ended, and learns of it.
    let ingest = first["stream_key_id"].as_str().unwrap();
    let (base, account) = (vendors.cloudflare_api_base_url(), vendors.account_id());
    let url = format!("{base}/accounts/{account}/stream/live_inputs/{ingest}");
    let deleted = reqwest::Client::new().delete(url);
    let deleted = deleted.bearer_auth(vendors.cloudflare_api_token());
    assert_eq!(Answer::to(deleted).await.status, 200);
    let second = service.go_live(42, &show("show68")).await;
    assert_ne!(second["stream_key_id"], first["stream_key_id"]);
    let kept = ingests(service).await;
    assert_eq!(kept[0]["ingest_id"], second["stream_key_id"]);
    service.come_down(42).await;
}

/// Both nodes are asked to start the same show, and then the other one has the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn two_nodes_make_one_ingest_and_either_uses_it() {
    let database = TestDatabase::postgres().await;
    crate::support::database::on(database, async move |database: TestDatabase| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
        kept(&mut settings);
        let one = Service::start(settings.clone()).await;
        let two = Service::start(settings).await;
        let body = show("show68");
        let (a, b) = tokio::join!(one.start_channel(42, &body), two.start_channel(42, &body));
        assert_eq!(a.1["id"], b.1["id"]);
        let first = one.in_phase(&a.1, "live").await;
        let mut urls = vec![first["hls_playback_url"].clone()];
        two.come_down(42).await;
        for service in [&two, &one, &two] {
            long_after(&database).await;
            let relay = service.go_live(42, &body).await;
            urls.push(relay["hls_playback_url"].clone());
            service.come_down(42).await;
        }
        urls.dedup();
        assert_eq!(urls.len(), 1);
        assert_eq!(calls(&vendors, VendorCall::LiveInputCreate).len(), 1);
        assert_eq!(vendors.state().live_inputs.len(), 1);
        assert_eq!(ingests(&two).await.len(), 1);
    })
    .await;
}
