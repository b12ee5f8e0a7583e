//! Egresses that die, come back, or have no known sid.
#![cfg(feature = "sandbox")]

use std::time::{Duration, Instant};

use crate::support::service::{
    PATIENCE, Stage, alive, calls, nothing_is_left, options, show, vendors_when, violations,
};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::Value;

/// Counts the cleanup jobs of egresses without a known sid.
const UNKNOWN: &str = "SELECT COUNT(*) FROM cleanup_jobs WHERE kind = 'find_egress'";

async fn publisher(vendors: &SimulatedVendors) -> String {
    another_publisher(vendors, &[]).await
}

async fn another_publisher(vendors: &SimulatedVendors, gone: &[String]) -> String {
    vendors_when(vendors, "an egress that publishes", |vendors| {
        let egresses = vendors.state().egresses;
        let publishing = egresses
            .into_iter()
            .find(|egress| egress.publishing && !gone.contains(&egress.id));
        publishing.map(|egress| egress.id)
    })
    .await
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_egress_that_dies_is_replaced_behind_the_same_url(
    #[case] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(40);
    })
    .await;
    if webhooks {
        stage.webhooks_on();
    }
    let (vendors, service) = (&stage.vendors, &stage.service);
    let before = service.go_live(42, &show("show68")).await;
    assert!(vendors.kill(&publisher(vendors).await, None));
    service.in_phase(&before, "interrupted").await;
    let after = service.in_phase(&before, "live").await;
    assert_eq!(after["agora"]["replacements"], 1);
    assert_eq!(after["hls_playback_url"], before["hls_playback_url"]);
    assert_ne!(
        (&after["agora"]["sid"], &after["agora"]["converter_id"]),
        (&before["agora"]["sid"], &before["agora"]["converter_id"])
    );
    assert_eq!(calls(vendors, VendorCall::LiveInputRotateKeys).len(), 1);
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 2));
    assert_eq!(state.live_inputs[0].encoders.len(), 1);
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(violations(vendors), [""; 0]);
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn refusals_and_html_pages_end_no_relay_whose_egress_is_replaced_and_delay_no_stop(
    #[case] backend: AgoraBackend,
    #[values(FaultKind::Page(403), FaultKind::Status(403, None))] kind: FaultKind,
) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(60);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let (start, stop): (&[VendorCall], _) = match backend {
        AgoraBackend::CloudRecording => {
            (&[VendorCall::Acquire, VendorCall::Start], VendorCall::Stop)
        }
        AgoraBackend::MediaPush => (&[VendorCall::ConverterCreate], VendorCall::ConverterDelete),
    };
    let twice = |call: VendorCall| {
        vendors.fault(VendorFault {
            times: Some(2),
            ..VendorFault::once(call, kind.clone())
        });
    };
    let before = service.go_live(42, &show("show68")).await;
    twice(VendorCall::LiveInputRotateKeys);
    start.iter().copied().for_each(twice);
    assert!(vendors.kill(&publisher(vendors).await, None));
    let relay = service
        .relay_when(&before, "live with another", |relay| {
            assert_eq!(relay["outcome"], Value::Null);
            relay["phase"] == "live" && relay["agora"]["replacements"] == 1
        })
        .await;
    assert_eq!(relay["hls_playback_url"], before["hls_playback_url"]);
    for call in [
        stop,
        VendorCall::LiveInputUpdate,
        VendorCall::LiveInputDelete,
    ] {
        twice(call);
    }
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_egress_that_comes_back_from_a_fail_over_is_not_replaced(
    #[case] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(60);
        settings.agora.not_found_backoff = [1, 2, 4, 8, 16].map(Duration::from_secs).to_vec();
    })
    .await;
    if webhooks {
        stage.webhooks_on();
    }
    let (vendors, service) = (&stage.vendors, &stage.service);
    let before = service.go_live(42, &show("show68")).await;
    // Two seconds of wall-clock time.
    let away = Duration::from_secs(40);
    assert!(vendors.kill(&publisher(vendors).await, Some(away)));
    service.in_phase(&before, "interrupted").await;
    let after = service.in_phase(&before, "live").await;
    assert_eq!(after["agora"], before["agora"], "the same egress");
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 1));
    assert_eq!(calls(vendors, VendorCall::LiveInputRotateKeys).len(), 0);
    service.come_down(42).await;
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(violations(vendors), [""; 0]);
}

/// Its stream key is invalid by then.
#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_egress_that_comes_back_too_late_never_publishes_beside_its_replacement(
    #[case] backend: AgoraBackend,
) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let before = service.go_live(42, &show("show68")).await;
    let first = publisher(vendors).await;
    assert!(vendors.kill(&first, Some(Duration::from_secs(100))));
    let relay = service
        .relay_when(&before, "live with another", |relay| {
            relay["phase"] == "live" && relay["agora"]["replacements"] == 1
        })
        .await;
    assert_eq!(relay["hls_playback_url"], before["hls_playback_url"]);
    vendors_when(vendors, "the first one back", |vendors| {
        let egresses = vendors.state().egresses;
        let first = egresses.iter().find(|egress| egress.id == first)?;
        (first.state != "failing_over").then_some(())
    })
    .await;
    let relay = service.in_phase(&relay, "live").await;
    assert_eq!(relay["agora"]["replacements"], 1);
    assert_eq!(vendors.state().live_inputs[0].encoders.len(), 1);
    let relay = service.come_down(42).await;
    assert!(
        !violations(vendors).contains(&"double_publish"),
        "{:#?}",
        vendors.state().violations
    );
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_relay_that_loses_one_egress_after_another_gives_up(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let mut killed = Vec::new();
    for _ in 0..3 {
        let id = another_publisher(vendors, &killed).await;
        assert!(vendors.kill(&id, None));
        killed.push(id);
    }
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "recorder_lost", "{relay:#}");
    assert_eq!(relay["relay_status"], "failed");
    assert_eq!(relay["agora"]["replacements"], 2);
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (1, 3));
    assert!(nothing_is_left(vendors), "{state:#?}");
    assert_eq!(violations(vendors), [""; 0]);
    assert_eq!(relay["cost"]["source"], "recording", "it was live");
}

/// While the egress answers, its feed may pause for `feed_timeout`.
#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_feed_that_comes_back_by_itself_needs_no_other_egress(#[case] backend: AgoraBackend) {
    let stage = Stage::with(backend, options(), |settings| {
        settings.relay.feed_timeout = Duration::from_secs(60);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let before = service.go_live(42, &show("show68")).await;
    assert!(vendors.drop_feed(&publisher(vendors).await, Duration::from_secs(40)));
    service.in_phase(&before, "interrupted").await;
    let after = service.in_phase(&before, "live").await;
    assert_eq!(after["agora"], before["agora"]);
    let relay = service.come_down(42).await;
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    assert_eq!(vendors.state().egresses.len(), 1);
    assert!(nothing_is_left(vendors));
}

/// A start whose answer was lost: only a notification tells the sid.
async fn nameless(webhooks: bool) -> (Stage, Value) {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    if webhooks {
        stage.webhooks_on();
    }
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.fault(VendorFault::once(VendorCall::Start, FaultKind::CutAfter));
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201, "{relay:#}");
    assert_eq!(vendors.state().egresses.len(), 1, "no second egress");
    let relay = service.in_phase(&relay, "live").await;
    (stage, relay)
}

#[tokio::test]
async fn an_egress_without_a_known_sid_goes_live_and_a_notification_tells_its_sid() {
    let (stage, relay) = nameless(true).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service
        .relay_when(&relay, "given its sid", |relay| {
            relay["agora"]["sid"].is_string()
        })
        .await;
    assert_eq!(relay["agora"]["sid"], alive(vendors)[0].id);
    service.come_down(42).await;
    assert!(nothing_is_left(vendors), "{:#?}", vendors.state());
    assert_eq!(stage.count("SELECT COUNT(*) FROM cleanup_jobs").await, 0);
    assert_eq!(violations(vendors), [""; 0]);
}

#[tokio::test]
async fn an_egress_without_a_known_sid_is_cut_off_asked_to_leave_and_cleaned_up_later() {
    let (stage, relay) = nameless(false).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    assert_eq!(relay["agora"]["sid"], Value::Null);
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert!(vendors.state().live_inputs[0].deleted);
    vendors_when(vendors, "its page left", |vendors| {
        let egresses = alive(vendors);
        (egresses.len() == 1 && egresses[0].channel.is_none()).then_some(())
    })
    .await;
    assert_eq!(stage.count(UNKNOWN).await, 1);
}

#[tokio::test]
async fn a_late_notification_completes_the_cleanup_job() {
    let (stage, _) = nameless(false).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    service.come_down(42).await;
    assert_eq!(alive(vendors).len(), 1);
    stage.webhooks_on();
    // Agora notifies of the fail-over.
    let id = alive(vendors)[0].id.clone();
    assert!(vendors.kill(&id, Some(Duration::from_secs(1))));
    vendors_when(vendors, "stopped", |vendors| {
        nothing_is_left(vendors).then_some(())
    })
    .await;
    // A stop during the fail-over is answered 404: its cleanup job stays and polls again later.
    let deadline = Instant::now() + PATIENCE;
    while stage.count(UNKNOWN).await > 0 {
        assert!(Instant::now() < deadline, "its name was never learnt");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_relay_whose_ingest_was_deleted_ends_and_nothing_is_left(#[case] backend: AgoraBackend) {
    let stage = Stage::new(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("deleted")).await;
    // Agora's egress is gone too.
    for call in [VendorCall::Query, VendorCall::ConverterGet] {
        let kind = FaultKind::NotFoundFor(Duration::from_secs(600));
        vendors.fault(VendorFault::forever(call, kind));
    }
    let url = format!(
        "{}/accounts/{}/stream/live_inputs/{}",
        vendors.cloudflare_api_base_url(),
        vendors.account_id(),
        relay["stream_key_id"].as_str().unwrap()
    );
    let delete = reqwest::Client::new().delete(url);
    let delete = delete.bearer_auth(vendors.cloudflare_api_token());
    assert!(delete.send().await.unwrap().status().is_success());
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "live_input_gone", "{relay:#}");
    assert!(nothing_is_left(vendors));
}
