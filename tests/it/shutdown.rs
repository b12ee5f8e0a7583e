//! SIGTERM: a deployment interrupts no relay; `--stop-all-on-exit` stops every relay.
#![cfg(feature = "sandbox")]

mod process;

use std::time::Duration;

use crate::support::database::TestDatabase;
use crate::support::program::free_port;
use crate::support::service::{changes, nothing_is_left, options, vendors_when};
use process::Process;
use relaykeeper::config::AgoraBackend::{self, CloudRecording, MediaPush};
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use reqwest::StatusCode;
use rstest::rstest;

#[rstest]
#[case::cloud_recording(CloudRecording)]
#[case::media_push(MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_process_leaves_egresses_running_and_the_next_one_adopts_them(
    #[case] backend: AgoraBackend,
) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let port = free_port();
    let mut first = Process::serve(&vendors, backend, &database.url, port, &[]).await;
    for channel in [1, 2] {
        assert_eq!(first.start(channel, 10).await.0, 201);
        first.in_phase(channel, "live").await;
    }
    let before = first.relay(1).await;
    // A waiting start: the creation of its ingest hangs.
    vendors.fault(VendorFault::once(
        VendorCall::LiveInputCreate,
        FaultKind::Hang,
    ));
    let waiting = first.start(3, 25);
    let goes = async {
        first.in_phase(3, "provisioning").await;
        first.terminate();
        // Reachable for a moment, so that load balancers notice.
        while first.readyz().await == Some(StatusCode::OK) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (start, stop) = tokio::join!(first.start(4, 0), first.stop(2));
        (first.readyz().await, start, stop)
    };
    let (waited, (readyz, refused, stopped)) = tokio::join!(waiting, goes);
    assert_eq!(readyz, Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(
        (refused.0, &refused.1["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"shutting-down".into())
    );
    assert_eq!(stopped, 202, "stops are still taken");
    assert_eq!(
        waited.0, 202,
        "a caller who waits for a start is answered at once that it goes on: {:#}",
        waited.1
    );
    let (status, took) = first.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(20), "{took:?}");
    let alive = vendors
        .state()
        .egresses
        .iter()
        .filter(|one| one.is_alive())
        .count();
    assert!(alive >= 1, "the seller of channel 1 is still on air");

    let second = Process::serve(&vendors, backend, &database.url, port, &[]).await;
    let after = second.in_phase(1, "live").await;
    for same in [
        "id",
        "stream_key_id",
        "hls_playback_url",
        "agora",
        "live_at",
        "started_at",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let stopped = second.in_phase(2, "ended").await;
    assert_eq!(stopped["outcome"]["code"], "stopped_by_request");
    second.in_phase(3, "live").await;
    for channel in [1, 3] {
        assert_eq!(second.stop(channel).await, 202);
        second.in_phase(channel, "ended").await;
    }
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (3, 3));
    assert!(state.violations.is_empty(), "{:#?}", state.violations);
}

#[rstest]
#[case::cloud_recording(CloudRecording)]
#[case::media_push(MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopting_a_live_relay_changes_nothing_at_the_vendors(#[case] backend: AgoraBackend) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let port = free_port();
    let mut first = Process::serve(&vendors, backend, &database.url, port, &[]).await;
    assert_eq!(first.start(1, 10).await.0, 201);
    first.in_phase(1, "live").await;
    let changes_before = changes(&vendors);
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));
    let second = Process::serve(&vendors, backend, &database.url, port, &[]).await;
    let seen = vendors.state().calls.len();
    second.in_phase(1, "live").await;
    vendors_when(&vendors, "polled a few times", |vendors| {
        (vendors.state().calls.len() > seen + 10).then_some(())
    })
    .await;
    assert_eq!(changes(&vendors), changes_before, "it only reads");
    assert_eq!(second.relay(1).await["phase"], "live");
}

#[rstest]
#[case::cloud_recording(CloudRecording)]
#[case::media_push(MediaPush)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_stop_all_on_exit_every_relay_is_down_before_the_process_exits(
    #[case] backend: AgoraBackend,
) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let port = free_port();
    let arguments = ["--stop-all-on-exit"];
    let mut first = Process::serve(&vendors, backend, &database.url, port, &arguments).await;
    for channel in [1, 2, 3] {
        assert_eq!(first.start(channel, 10).await.0, 201);
    }
    first.in_phase(1, "live").await;
    // A failing first stop delays the exit only briefly.
    for call in [VendorCall::Stop, VendorCall::ConverterDelete] {
        vendors.fault(VendorFault::once(call, FaultKind::Status(503, None)));
    }
    first.terminate();
    assert_eq!(first.ended().await.0.code(), Some(0));
    let state = vendors.state();
    assert!(
        !state.egresses.iter().any(|one| one.is_alive()),
        "{:#?}",
        state.egresses
    );
    assert!(
        state
            .live_inputs
            .iter()
            .all(|input| input.deleted || !input.enabled),
        "{:#?}",
        state.live_inputs
    );
    let second = Process::serve(&vendors, backend, &database.url, port, &[]).await;
    for channel in [1, 2, 3] {
        let relay = second.in_phase(channel, "ended").await;
        let code = relay["outcome"]["code"].as_str().unwrap();
        assert!(
            ["stopped_by_request", "cancelled"].contains(&code),
            "{code}"
        );
    }
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_cuts_stop_all_on_exit_short() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let port = free_port();
    let arguments = ["--stop-all-on-exit"];
    let mut first = Process::serve(&vendors, MediaPush, &database.url, port, &arguments).await;
    assert_eq!(first.start(1, 10).await.0, 201);
    first.in_phase(1, "live").await;
    vendors.fault(VendorFault::forever(
        VendorCall::ConverterDelete,
        FaultKind::Status(503, None),
    ));
    first.terminate();
    first.in_phase(1, "stopping").await;
    first.terminate();
    let (status, took) = first.ended().await;
    assert_eq!(status.code(), Some(0));
    // The relay's teardown timeout is half a minute.
    assert!(took < Duration::from_secs(15), "{took:?}");
    vendors.clear_faults();
    let second = Process::serve(&vendors, MediaPush, &database.url, port, &[]).await;
    let relay = second.in_phase(1, "ended").await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request");
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
}
