//! PostgreSQL is stopped and restarted while the service runs.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::Value;

use super::{notify_at, until_unready};
use crate::support::cluster::Cluster;
use crate::support::service::{
    Service, changes, nothing_is_left, options, settings, show, vendors_when,
};

#[rstest]
#[case::as_a_crash("immediate")]
#[case::as_an_administrator("fast")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_restart_of_postgresql_pauses_the_service_until_it_is_back(#[case] mode: &str) {
    let mut cluster = Cluster::start();
    // Long enough to stop the database meanwhile.
    let vendors = SimulatedVendors::start(Options {
        create_latency: Duration::from_secs(30),
        ..options()
    })
    .unwrap();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &cluster.url());
    settings.server.shutdown_grace = Duration::from_millis(200);
    settings.relay.provisioning_timeout = Duration::from_secs(120);
    settings.vendors.write_timeout = Duration::from_secs(20);
    let service = Service::start(settings).await;
    let live = service.go_live(1, &show("show1")).await;
    let asked = service
        .request(Method::POST, "/v1/channels/2/start")
        .header("Prefer", "wait=0")
        .json(&show("show2"));
    let begun: Value = asked.send().await.unwrap().json().await.unwrap();

    cluster.stop(mode);
    until_unready(&service).await;
    vendors_when(&vendors, "asked for an ingest", |vendors| {
        (vendors.state().live_inputs.len() == 2).then_some(())
    })
    .await;
    let before = changes(&vendors);
    let another = show("show3");
    let (stop, start) = tokio::join!(service.stop_channel(1), service.start_channel(3, &another));
    for (status, problem) in [&stop, &start] {
        assert_eq!(
            (*status, &problem["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"database".into()),
            "{problem:#}"
        );
    }
    assert_eq!(notify_at(&service, &vendors).await, 503);
    assert_eq!(
        changes(&vendors),
        before,
        "nothing is done whose intent is not stored"
    );

    cluster.start_again();
    service.wait_until_ready().await;
    // Channel 1's stop was refused, but may have been stored since.
    service.in_phase(&begun, "live").await;
    for (channel, relay) in [(1, &live), (2, &begun)] {
        let (status, stopped) = service.stop_channel(channel).await;
        assert!(status == 202 || (channel, status.as_u16()) == (1, 200));
        assert_eq!(stopped["id"], relay["id"]);
        let ended = service.in_phase(relay, "ended").await;
        assert_eq!(ended["outcome"]["code"], "stopped_by_request");
    }
    let state = vendors.state();
    assert_eq!((state.live_inputs.len(), state.egresses.len()), (2, 2));
    assert!(state.violations.is_empty(), "{:#?}", state.violations);
    assert!(nothing_is_left(&vendors), "{state:#?}");
}
