//! Notifications about ingests of others in the account must not use up the rate budget.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{SimulatedVendors, VendorCall};

use crate::support::service::{
    Stage, calls, nothing_is_left, options, show, vendors_when, violations,
};

/// Deliveries in flight.
const AT_ONCE: usize = 20;

/// Encoders reconnect to these ingests, as fast as the notifications are answered.
async fn reconnect(vendors: &SimulatedVendors, inputs: impl IntoIterator<Item = String>) {
    let inputs: Vec<String> = inputs.into_iter().collect();
    for some in inputs.chunks(AT_ONCE) {
        let before = vendors.state_since(chrono::Utc::now()).delivered;
        some.iter().for_each(|input| vendors.reconnect(input));
        let all = before + 2 * u64::try_from(some.len()).unwrap();
        vendors_when(vendors, "notified", |vendors| {
            (vendors.state_since(chrono::Utc::now()).delivered >= all).then_some(())
        })
        .await;
    }
}

/// The budget is 80 calls in five minutes, 16 of them reserved for stops.
#[tokio::test]
async fn encoders_at_foreign_ingests_do_not_spend_the_budget_of_starts_and_stops() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.cloudflare.requests_per_5_minutes = 100;
        settings.cloudflare.recordings_interval = Duration::from_secs(2);
        settings.relay.recording_timeout = Duration::from_secs(30);
        settings.janitor.interval = Duration::from_secs(3600);
    })
    .await;
    stage.webhooks_on();
    let (vendors, service) = (&stage.vendors, &stage.service);
    let foreign = vendors.foreign_live_input();
    let many: Vec<String> = (0..200).map(|_| vendors.foreign_live_input()).collect();
    let shows = async {
        for channel in 1..=4 {
            let show = show(&format!("show{channel}"));
            service.go_live(channel, &show).await;
            let relay = service.come_down(channel).await;
            assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
        }
    };
    let others = async {
        reconnect(vendors, std::iter::repeat_n(foreign.clone(), 1000)).await;
        reconnect(vendors, many).await;
    };
    tokio::join!(shows, others);
    let relay = service.go_live(42, &show("show42")).await;
    service.stop_channel(42).await;
    service.in_phase(&relay, "ended").await;
    let gets = calls(vendors, VendorCall::LiveInputGet);
    let of_one = gets.iter().filter(|get| get.line.contains(&foreign));
    assert_eq!(of_one.count(), 1, "it is known not to be ours");
    assert!(gets.len() <= 4, "one call in twenty: {}", gets.len());
    let ours = vendors.state().live_inputs;
    let mut ours = ours
        .iter()
        .filter(|input| input.meta["relaykeeper"].is_string());
    assert!(ours.all(|input| input.deleted));
    assert!(
        vendors
            .state()
            .egresses
            .iter()
            .all(|egress| !egress.is_alive())
    );
    assert_eq!(violations(vendors), [""; 0]);
}

/// The ingest of a stopping relay is polled anyway, once.
#[tokio::test]
async fn an_encoder_at_an_ingest_of_ours_is_polled_at_once_however_often_it_reconnects() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.janitor.interval = Duration::from_secs(3600);
        settings.relay.recording_timeout = Duration::from_secs(30);
    })
    .await;
    stage.webhooks_on();
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let input = relay["stream_key_id"].as_str().unwrap().to_owned();
    service.stop_channel(42).await;
    service.in_phase(&relay, "finalizing").await;
    reconnect(vendors, std::iter::repeat_n(input, 100)).await;
    service.in_phase(&relay, "ended").await;
    assert!(calls(vendors, VendorCall::LiveInputGet).len() <= 1);
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
}

/// Health reads cause one call in ten seconds while a vendor refuses all.
#[tokio::test]
async fn reading_the_health_causes_few_vendor_calls() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.janitor.interval = Duration::from_secs(3600);
        settings.cloudflare.api_token = "a-wrong-token".into();
    })
    .await;
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        let health = stage.service.get("/v1/health").await;
        assert_eq!(health["cloudflare"]["healthy"], false, "{health:#}");
    }
    let probes = calls(&stage.vendors, VendorCall::StorageUsage).len();
    let most = 1 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    assert!((1..=most).contains(&probes), "{probes} calls");
}
