//! Actors that panic, and states that cannot be read.
#![cfg(feature = "sandbox")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::support::database::TestDatabase;
use crate::support::service::{
    Service, Stage, nothing_is_left, options, settings, show, vendors_when,
};
use futures_util::{StreamExt, stream};
use relaykeeper::actors::sabotage::{SabotageAction, SabotageMoment, SabotagePlan, sabotage};
use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::{FaultKind, Options, Quotas, SimulatedVendors, VendorCall, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(200);

/// Silences intended panics.
fn silence_sabotage() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"sabotage") {
            hook(panic);
        }
    }));
}

fn plan(channels: &str, moment: SabotageMoment, action: SabotageAction, times: Option<u32>) {
    sabotage(SabotagePlan {
        channels: channels.into(),
        moment,
        action,
        times,
    });
}

/// Has quota for a thousand relays; polls rarely, to spare the CPU.
async fn large_stage() -> Stage {
    let options = Options {
        quotas: Quotas {
            cloudflare_requests: 1_000_000,
            media_push_per_second: 100_000,
            hosts_per_second: 100_000,
            max_converters: 10_000,
            ..Quotas::default()
        },
        ..options()
    };
    let change = |settings: &mut Settings| {
        settings.cloudflare.requests_per_5_minutes = 1_000_000;
        settings.cloudflare.customer_requests_per_second = 10_000;
        settings.agora.media_push.requests_per_second = 10_000;
        settings.agora.media_push.query_interval = Duration::from_secs(60);
        settings.agora.channel_requests_per_second = 10_000;
        settings.relay.poll_interval = Duration::from_secs(5);
        settings.relay.live_check_interval = Duration::from_secs(60);
        settings.relay.provisioning_timeout = Duration::from_secs(300);
        settings.relay.live_timeout = Duration::from_secs(300);
        settings.relay.reconnect_window = Duration::from_secs(60);
        settings.relay.feed_timeout = Duration::from_secs(60);
        settings.vendors.read_timeout = Duration::from_secs(20);
        settings.vendors.write_timeout = Duration::from_secs(20);
        settings.janitor.interval = Duration::from_secs(600);
    };
    Stage::with(AgoraBackend::MediaPush, options, change).await
}

async fn start_all(service: &Service, names: &[String]) {
    let starts = names.iter().enumerate().map(|(place, name)| async move {
        let answer = service
            .request(Method::POST, &format!("/v1/channels/{}/start", place + 1))
            .header("Prefer", "wait=0")
            .json(&show(name))
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    });
    stream::iter(starts)
        .buffer_unordered(16)
        .collect::<()>()
        .await;
}

async fn actors(service: &Service) -> HashMap<String, Value> {
    let mut actors = HashMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/admin/actors?limit=200{cursor}");
        let answer = service.as_admin(Method::GET, &path).send().await.unwrap();
        let page: Value = answer.json().await.unwrap();
        for actor in page["actors"].as_array().unwrap() {
            actors.insert(
                actor["channel_name"].as_str().unwrap().to_owned(),
                actor.clone(),
            );
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return actors,
        }
    }
}

async fn all_live(service: &Service, count: usize) -> HashMap<String, Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let actors = actors(service).await;
        let live = actors
            .values()
            .filter(|actor| actor["phase"] == "live")
            .count();
        if live == count {
            return actors;
        }
        assert!(
            Instant::now() < deadline,
            "{live} of {} are live",
            actors.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_relays_two_hundred_panic_and_restart_without_affecting_the_others() {
    silence_sabotage();
    let stage = large_stage().await;
    plan(
        "answer-",
        SabotageMoment::Answer,
        SabotageAction::Panic,
        Some(1),
    );
    plan(
        "acting-",
        SabotageMoment::Acting,
        SabotageAction::Panic,
        Some(1),
    );
    let kind = |place: usize| match place % 10 {
        0 => "answer",
        5 => "acting",
        _ => "calm",
    };
    let names: Vec<String> = (0..1000)
        .map(|place| format!("{}-{place}", kind(place)))
        .collect();
    start_all(&stage.service, &names).await;
    let actors = all_live(&stage.service, 1000).await;
    for (name, actor) in &actors {
        let died = !name.starts_with("calm");
        assert_eq!(actor["restarts"], i32::from(died), "{name}: {actor:#}");
        let error = actor["last_error"].as_str().unwrap_or_default();
        assert_eq!(
            error.contains("panicked: sabotage"),
            died,
            "{name}: {actor:#}"
        );
    }
    let state = stage.vendors.state();
    assert_eq!(
        (state.live_inputs.len(), state.egresses.len()),
        (1000, 1000)
    );
    assert!(state.violations.is_empty(), "{:#?}", state.violations);
    for channel in [1, 2, 6] {
        let (status, relay) = stage.service.stop_channel(channel).await;
        assert_eq!(status, 202);
        let relay = stage.service.in_phase(&relay, "ended").await;
        assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_of_a_dead_thread_continue_on_another() {
    let stage = large_stage().await;
    plan(
        "thread-",
        SabotageMoment::Answer,
        SabotageAction::EndThread,
        Some(1),
    );
    let names: Vec<String> = (0..40).map(|place| format!("show{place}")).collect();
    start_all(&stage.service, &names).await;
    all_live(&stage.service, 40).await;
    let (status, last) = stage.service.start_channel(41, &show("thread-41")).await;
    assert!(status.is_success(), "{status} {last:#}");
    let actors = all_live(&stage.service, 41).await;
    let restarted = actors
        .values()
        .filter(|actor| actor["restarts"] == 1)
        .count();
    assert!(restarted > 1, "those beside it died with it: {restarted}");
    let known = |actor: &Value| {
        actor["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("thread"))
    };
    assert_eq!(
        actors.values().filter(|actor| known(actor)).count(),
        restarted
    );
    let state = stage.vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (41, 41));
    assert!(state.violations.is_empty(), "{:#?}", state.violations);
}

async fn cleanup_jobs(database: &TestDatabase) -> Vec<String> {
    let raw = database.raw().await;
    let cleanup_jobs = raw
        .texts("SELECT kind || ' ' || target FROM cleanup_jobs ORDER BY 1")
        .await;
    cleanup_jobs.into_iter().flatten().collect()
}

/// The cleanup jobs of everything that a relay has at the vendors.
fn holdings(relay: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let agora = &relay["agora"];
    let egress = if agora["backend"] == "media_push" {
        format!("stop_egress {}", text(&agora["converter_id"]))
    } else {
        format!("stop_egress {}", text(&agora["sid"]))
    };
    let mut all = vec![
        egress,
        format!("remove_ingest {}", text(&relay["stream_key_id"])),
    ];
    all.sort();
    all
}

fn fail_every_removal(vendors: &SimulatedVendors) {
    for call in [
        VendorCall::Stop,
        VendorCall::ConverterDelete,
        VendorCall::LiveInputDelete,
    ] {
        vendors.fault(VendorFault::forever(call, FaultKind::Status(503, None)));
    }
}

async fn cleanup_jobs_are_settled(stage: &Stage, relay: &Value) {
    stage.vendors.clear_faults();
    vendors_when(&stage.vendors, "free of the relay", |vendors| {
        let state = vendors.state();
        let input = state
            .live_inputs
            .iter()
            .find(|input| input.uid == relay["stream_key_id"]);
        let ids = [&relay["agora"]["sid"], &relay["agora"]["converter_id"]];
        let egress = state
            .egresses
            .iter()
            .find(|one| ids.iter().any(|id| **id == one.id));
        let gone = input.unwrap().deleted && !egress.unwrap().is_alive();
        gone.then_some(())
    })
    .await;
    let deadline = Instant::now() + PATIENCE;
    while !cleanup_jobs(&stage.database).await.is_empty() {
        assert!(
            Instant::now() < deadline,
            "cleanup jobs: {:?}",
            cleanup_jobs(&stage.database).await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn announced_the_end(stage: &Stage, relay: &Value) {
    let raw = stage.database.raw().await;
    let id = relay["id"].as_str().unwrap().replace('-', "");
    let messages = raw
        .texts("SELECT type FROM outbox WHERE type IN ('relay.stopped', 'relay.failed', 'relay.ended') ORDER BY id")
        .await;
    let messages: Vec<_> = messages.into_iter().flatten().collect();
    assert_eq!(messages, ["relay.failed", "relay.ended"], "{id}");
    assert_eq!(
        raw.number("SELECT count(*) FROM stream_costs").await,
        1,
        "it was live"
    );
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_panics_six_times_in_a_minute_is_ended_by_force_with_cleanup_jobs(
    #[case] backend: AgoraBackend,
) {
    silence_sabotage();
    let stage = Stage::new(backend).await;
    let (_, relay) = stage.service.start_channel(1, &show("hopeless")).await;
    let relay = stage.service.in_phase(&relay, "live").await;
    let (_, calm) = stage.service.start_channel(2, &show("calm")).await;
    let calm = stage.service.in_phase(&calm, "live").await;
    fail_every_removal(&stage.vendors);
    plan(
        "hopeless",
        SabotageMoment::Anything,
        SabotageAction::Panic,
        None,
    );
    let ended = stage.service.in_phase(&relay, "ended").await;
    assert_eq!(ended["outcome"]["code"], "internal", "{ended:#}");
    assert_eq!(ended["relay_status"], "failed");
    assert_eq!(cleanup_jobs(&stage.database).await, holdings(&relay));
    announced_the_end(&stage, &relay).await;
    let actors = actors(&stage.service).await;
    assert_eq!((&actors["calm"]["restarts"], actors.len()), (&json!(0), 1));
    cleanup_jobs_are_settled(&stage, &relay).await;
    let (status, again) = stage.service.start_channel(1, &show("hopeful")).await;
    assert_eq!(status, 201, "{again:#}");
    for (channel, relay) in [(1, &again), (2, &calm)] {
        stage.service.in_phase(relay, "live").await;
        assert_eq!(stage.service.stop_channel(channel).await.0, 202);
        stage.service.in_phase(relay, "ended").await;
    }
    assert!(
        nothing_is_left(&stage.vendors),
        "{:#?}",
        stage.vendors.state()
    );
}

#[rstest]
#[case::no_json("state = '{'")]
#[case::another_shape("state = '{\"phase\":\"live\"}'")]
#[case::of_a_later_program("state_version = 99")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_an_unreadable_state_is_ended_by_force_with_cleanup_jobs(
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
    #[case] damage: &str,
) {
    let stage = Stage::new(backend).await;
    let (_, relay) = stage.service.start_channel(1, &show("damaged")).await;
    let relay = stage.service.in_phase(&relay, "live").await;
    let (_, calm) = stage.service.start_channel(2, &show("calm")).await;
    stage.service.in_phase(&calm, "live").await;
    let Stage {
        vendors,
        service,
        database,
    } = stage;
    service.shut_down();
    let raw = database.raw().await;
    raw.execute(&format!("UPDATE relays SET {damage} WHERE channel_id = 1"))
        .await;
    fail_every_removal(&vendors);
    let service = Service::start(settings(&vendors, backend, &database.url)).await;
    let stage = Stage {
        vendors,
        service,
        database,
    };
    let deadline = Instant::now() + PATIENCE;
    while cleanup_jobs(&stage.database).await.is_empty() {
        assert!(Instant::now() < deadline, "never ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cleanup_jobs(&stage.database).await, holdings(&relay));
    let ended = raw
        .texts("SELECT phase || ' ' || relay_status || ' ' || outcome FROM relays WHERE channel_id = 1")
        .await;
    assert_eq!(ended, [Some("ended failed internal".to_owned())]);
    let actors = actors(&stage.service).await;
    assert_eq!(actors.keys().collect::<Vec<_>>(), ["calm"]);
    cleanup_jobs_are_settled(&stage, &relay).await;
    let (status, again) = stage.service.start_channel(1, &show("again")).await;
    assert_eq!(status, 201, "{again:#}");
    stage.service.in_phase(&again, "live").await;
}
