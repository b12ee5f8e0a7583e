//! A channel goes live and comes down, over real HTTP, on both backends.
#![cfg(feature = "sandbox")]

mod contract;
mod schemas;
mod tap;

use std::time::{Duration, Instant};

use crate::support::database::TestDatabase;
use crate::support::platform::TestPlatform;
use crate::support::service::{
    BACKENDS, Service, Stage, calls, nothing_is_left, options, settings, show, vendors_when,
    violations,
};
use relaykeeper::config::{AgoraBackend, IngestRetention};
use relaykeeper::sandbox::{Options, SimulatedVendors, VendorCall};
use rstest::rstest;
use serde_json::{Value, json};

const WHOLE_LIFE: [&str; 6] = [
    "provisioning",
    "awaiting_live",
    "live",
    "stopping",
    "finalizing",
    "ended",
];

async fn relay_without_faults(platform: TestPlatform, stage: &Stage) {
    let (vendors, service) = (&stage.vendors, &stage.service);
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201, "{relay:#}");
    assert!(
        relay["hls_playback_url"]
            .as_str()
            .is_some_and(|url| url.starts_with(&platform.playback_base_url(vendors)))
    );
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(
        (
            &relay["relay_status"],
            &relay["is_active"],
            &relay["is_live"]
        ),
        (&json!("active"), &json!(true), &json!(true))
    );
    let playback = service.get("/v1/channels/42/playback").await;
    assert_eq!(playback["hls_url"], relay["hls_playback_url"]);
    assert_eq!(playback["is_live"], true);
    let (status, _) = service.stop_channel(42).await;
    assert_eq!(status, 202);
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert_eq!(relay["relay_status"], "stopped");
    assert_eq!(
        relay["recordings"].as_array().map(Vec::len),
        Some(1),
        "{relay:#}"
    );
    assert_eq!(relay["cost"]["source"], "recording");
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(service.phases(&relay).await, WHOLE_LIFE);
    assert_eq!(violations(vendors), [""; 0]);
    assert_eq!(stage.count("SELECT COUNT(*) FROM cleanup_jobs").await, 0);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_channel_goes_live_and_comes_down(#[case] backend: AgoraBackend) {
    relay_without_faults(TestPlatform::Cloudflare, &Stage::new(backend).await).await;
}

#[rstest]
#[case::cloud_recording(TestPlatform::Cloudflare, AgoraBackend::CloudRecording)]
#[case::media_push(TestPlatform::Cloudflare, AgoraBackend::MediaPush)]
#[case::mux(TestPlatform::Mux, AgoraBackend::MediaPush)]
#[case::ivs(TestPlatform::Ivs, AgoraBackend::CloudRecording)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_channel_goes_live_and_comes_down_on_postgresql(
    #[case] platform: TestPlatform,
    #[case] backend: AgoraBackend,
) {
    let database = TestDatabase::postgres().await;
    crate::support::database::on(database, async move |database: TestDatabase| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let mut settings = settings(&vendors, backend, &database.url);
        platform.make_default(&vendors, &mut settings);
        let service = Service::start(settings).await;
        let stage = Stage {
            vendors,
            service,
            database,
        };
        relay_without_faults(platform, &stage).await;
    })
    .await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn with_webhooks_a_relay_is_live_before_its_next_poll(#[case] backend: AgoraBackend) {
    let poll = Duration::from_secs(40);
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.poll_interval = poll;
        settings.relay.live_timeout = Duration::from_secs(110);
        settings.relay.live_check_interval = poll;
    })
    .await;
    stage.webhooks_on();
    let service = &stage.service;
    let asked = Instant::now();
    service.go_live(42, &show("show68")).await;
    assert!(asked.elapsed() < poll, "{:?}", asked.elapsed());
    let relay = service.come_down(42).await;
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert!(nothing_is_left(&stage.vendors));
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn webhooks_that_come_twice_and_out_of_order_change_nothing(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let mut urls = crate::support::service::webhooks(&stage.service.url);
    urls.duplicates = true;
    urls.reordered = true;
    stage.vendors.set_webhooks(urls);
    relay_without_faults(TestPlatform::Cloudflare, &stage).await;
}

/// Each call takes a second.
#[tokio::test]
async fn the_ingest_and_the_resource_are_requested_concurrently() {
    let options = Options {
        create_latency: Duration::from_secs(20),
        acquire_latency: Duration::from_secs(20),
        push_after: Duration::from_secs(60),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |_| {}).await;
    let (status, relay) = stage.service.start_channel(42, &show("show68")).await;
    assert_eq!(
        (status.as_u16(), &relay["phase"]),
        (201, &json!("awaiting_live")),
        "the answer comes when the egress has accepted, not when the feed arrives"
    );
    let one = |call| {
        let all = calls(&stage.vendors, call);
        assert_eq!(all.len(), 1, "{all:#?}");
        all[0].at
    };
    let apart = (one(VendorCall::LiveInputCreate) - one(VendorCall::Acquire)).abs();
    assert!(apart < chrono::TimeDelta::seconds(1), "{apart}");
    stage.service.in_phase(&relay, "live").await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_relay_costs_three_calls_to_cloudflare_and_a_shared_list(#[case] backend: AgoraBackend) {
    const SHOWS: i64 = 5;
    let every = Duration::from_secs(1);
    let stage = Stage::with(backend, options(), |settings| {
        settings.janitor.interval = Duration::from_secs(3600);
        settings.cloudflare.recordings_interval = every;
        settings.relay.recording_timeout = Duration::from_secs(30);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    for channel in 1..=SHOWS {
        service
            .go_live(channel, &show(&format!("show{channel}")))
            .await;
    }
    let stopped = Instant::now();
    let mut relays = Vec::new();
    for channel in 1..=SHOWS {
        relays.push(service.stop_channel(channel).await.1);
    }
    for relay in &relays {
        let relay = service.in_phase(relay, "ended").await;
        assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    }
    let polls = stopped.elapsed().as_secs() + 2;
    let count = |call| calls(vendors, call).len();
    let shows = usize::try_from(SHOWS).unwrap();
    assert_eq!(
        [
            count(VendorCall::LiveInputCreate),
            count(VendorCall::LiveInputUpdate),
            count(VendorCall::LiveInputDelete)
        ],
        [shows; 3]
    );
    let lists = u64::try_from(count(VendorCall::VideoList)).unwrap();
    assert!((1..=polls).contains(&lists), "{lists} lists, {polls} polls");
    for call in [
        VendorCall::LiveInputGet,
        VendorCall::LiveInputVideos,
        VendorCall::LiveInputRotateKeys,
        VendorCall::VideoGet,
        VendorCall::VideoDelete,
    ] {
        assert_eq!(count(call), 0, "{call}");
    }
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_channel_has_one_relay_after_another_and_its_row_shows_the_newest(
    #[case] backend: AgoraBackend,
) {
    let stage = Stage::new(backend).await;
    let service = &stage.service;
    let first = service.go_live(42, &show("show68")).await;
    let row = channel_row(&stage, 42).await;
    assert_eq!(row["relay_status"], "active");
    assert_eq!(row["channel_name"], "show68");
    assert_eq!(row["stream_key_id"], first["stream_key_id"]);
    assert_eq!(row["hls_playback_url"], first["hls_playback_url"]);
    assert_eq!(row["stream_recording_url"], Value::Null);
    assert_eq!(row["agora_sid"], first["agora"]["sid"]);
    assert_eq!(row["agora_resource_id"], first["agora"]["resource_id"]);
    assert!(row["relay_started_at"].is_string(), "{row:#}");
    let first = service.come_down(42).await;
    let row = channel_row(&stage, 42).await;
    assert_eq!(row["relay_status"], "stopped");
    assert_eq!(row["stream_recording_url"], first["recording_url"]);

    let second = service.go_live(42, &show("show69")).await;
    assert_ne!(first["id"], second["id"]);
    assert_ne!(first["stream_key_id"], second["stream_key_id"]);
    let row = channel_row(&stage, 42).await;
    assert_eq!(row["channel_name"], "show69");
    assert_eq!(row["stream_key_id"], second["stream_key_id"]);
    let second = service.come_down(42).await;
    let channel = service.get("/v1/channels/42").await;
    assert_eq!(channel["relay"]["id"], second["id"]);
    let history = service.get("/v1/channels/42/relays").await;
    let ids: Vec<&Value> = history["relays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|relay| &relay["id"])
        .collect();
    assert_eq!(ids, [&second["id"], &first["id"]]);
    assert_eq!(stage.count("SELECT COUNT(*) FROM stream_costs").await, 2);
}

async fn channel_row(stage: &Stage, id: i64) -> Value {
    let raw = stage.database.raw().await;
    let mut row = serde_json::Map::new();
    for column in [
        "channel_name",
        "stream_key_id",
        "hls_playback_url",
        "stream_recording_url",
        "agora_resource_id",
        "agora_sid",
        "relay_status",
        "relay_started_at",
    ] {
        let sql = format!("SELECT {column} FROM channels WHERE id = {id}");
        let value = raw.texts(&sql).await.remove(0);
        row.insert(column.to_owned(), json!(value));
    }
    Value::Object(row)
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording, 14_000)]
#[case::media_push(AgoraBackend::MediaPush, 7_990)]
#[tokio::test]
async fn the_cost_ledger_has_one_exact_row(
    #[case] backend: AgoraBackend,
    #[case] agora_minute: u64,
) {
    // 30 s of video per second.
    let options = Options {
        wire_speed: Some(30.0),
        ..options()
    };
    let stage = Stage::with(backend, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(100);
        if backend == AgoraBackend::MediaPush {
            settings.pricing.agora = 7.99;
        }
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    service.go_live(42, &show("show68")).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let relay = service.come_down(42).await;
    let video = vendors.state().videos[0].clone();
    let seconds = video.duration_seconds.ceil();
    let cost = &relay["cost"];
    assert_eq!(cost["duration_seconds"].as_f64(), Some(seconds), "{cost}");
    assert_eq!(cost["source"], "recording");
    let seconds = cost["duration_seconds"].as_u64().unwrap();
    let minutes = seconds.div_ceil(60);
    assert!(minutes >= 2, "{seconds}");
    assert_eq!(cost["minutes"], minutes);
    assert_eq!(cost["cost_cents"], (minutes * 500).div_ceil(1000));
    assert_eq!(cost["cost_micros"], minutes * 5_000);
    let agora = cost["agora_cost_micros"].as_u64().unwrap();
    assert!(agora > 0 && agora % agora_minute == 0, "{agora}");
    let ledger = service.get("/v1/costs?group_by=channel").await;
    assert_eq!(
        ledger["costs"],
        json!([{
            "channel_id": 42, "relays": 1, "duration_seconds": seconds, "cost_cents": cost["cost_cents"],
            "cost_micros": cost["cost_micros"], "agora_cost_micros": agora,
        }])
    );
    let row = stage.database.raw().await;
    let rows = row
        .texts("SELECT stream_key_id FROM stream_costs WHERE channel_id = 42")
        .await;
    assert_eq!(rows, [relay["stream_key_id"].as_str().map(str::to_owned)]);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_recording_that_the_start_disabled_is_deleted(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let mut body = show("show68");
    body["enable_recording"] = json!(false);
    let relay = service.go_live(42, &body).await;
    assert!(relay["hls_playback_url"].is_string());
    service.come_down(42).await;
    vendors_when(vendors, "its video deleted", |vendors| {
        let videos = vendors.state().videos;
        (videos.len() == 1 && videos[0].deleted).then_some(())
    })
    .await;
    stage.settles().await;
    let channel = service.get("/v1/channels/42").await;
    assert_eq!(channel["relay"]["recording_url"], Value::Null);
    assert_eq!(channel["last_recording"], Value::Null);
    assert_eq!(
        stage
            .count("SELECT COUNT(*) FROM outbox WHERE type LIKE 'recording.%'")
            .await,
        0
    );
}

#[tokio::test]
async fn a_retained_ingest_is_disabled_and_the_janitor_keeps_it() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.relay.ingest_retention = IngestRetention::Keep;
        settings.janitor.interval = Duration::from_millis(300);
        settings.janitor.grace = Duration::from_millis(1);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    let swept = calls(vendors, VendorCall::LiveInputList).len();
    vendors_when(vendors, "swept three times", |vendors| {
        (calls(vendors, VendorCall::LiveInputList).len() >= swept + 3).then_some(())
    })
    .await;
    let input = vendors.state().live_inputs[0].clone();
    assert!(!input.deleted && !input.enabled, "{input:#?}");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_relay_ends_at_its_maximum_duration(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.max_duration = Duration::from_secs(2);
    })
    .await;
    let service = &stage.service;
    let relay = service.go_live(42, &show("show68")).await;
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "max_duration");
    assert_eq!(relay["relay_status"], "stopped");
    assert!(relay["live_seconds"].as_u64().is_some_and(|s| s >= 2));
    assert!(nothing_is_left(&stage.vendors));
}

#[tokio::test]
async fn many_channels_are_live_at_once() {
    for backend in BACKENDS {
        let stage = Stage::new(backend).await;
        let service = &stage.service;
        let mut relays = Vec::new();
        for channel in 1..=4 {
            let (status, relay) = service
                .start_channel(channel, &show(&format!("show{channel}")))
                .await;
            assert_eq!(status, 201, "{relay:#}");
            relays.push(relay);
        }
        for relay in &relays {
            service.in_phase(relay, "live").await;
        }
        let live = service.get("/v1/relays?phase=live").await;
        assert_eq!(live["relays"].as_array().map(Vec::len), Some(4));
        for channel in 1..=4 {
            service.stop_channel(channel).await;
        }
        for relay in &relays {
            service.in_phase(relay, "ended").await;
        }
        assert!(nothing_is_left(&stage.vendors));
    }
}
