//! Ingests that are out of order while a relay publishes to them.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::IngestFault;

use super::shows::stage;
use super::support::Player;
use crate::support::service::{Stage, show, until};

#[tokio::test]
async fn a_silent_socket_interrupts_the_relay_until_it_is_read_again() {
    let stage = stage("cloudflare", AgoraBackend::CloudRecording).await;
    let Stage {
        vendors, service, ..
    } = &stage;
    let relay = service.go_live(42, &show("show68")).await;
    let player = Player::of(relay["hls_playback_url"].as_str().unwrap());
    vendors.fault_ingests(Some(IngestFault::Silent));
    service.in_phase(&relay, "interrupted").await;
    let newest = player.newest().await;
    let ingest = vendors.state().ingest;
    assert_eq!((ingest.accepted, ingest.silenced), (1, 1));
    assert!(vendors.state().egresses[0].publishing, "its socket is open");
    vendors.fault_ingests(None);
    service.in_phase(&relay, "live").await;
    until("advanced", async || player.newest().await > newest).await;
    service.come_down(42).await;
    stage.settles().await;
}

#[tokio::test]
async fn an_ingest_that_refuses_again_ends_the_relay_and_leaves_nothing() {
    let stage = stage("cloudflare", AgoraBackend::MediaPush).await;
    let Stage {
        vendors, service, ..
    } = &stage;
    let relay = service.go_live(42, &show("show68")).await;
    vendors.fault_ingests(Some(IngestFault::RefuseAgain(Duration::from_secs(1))));
    let ended = service.in_phase(&relay, "ended").await;
    let code = ended["outcome"]["code"].as_str().unwrap();
    assert!(["recorder_lost", "feed_lost"].contains(&code), "{ended:#}");
    let ingest = vendors.state().ingest;
    assert_eq!((ingest.accepted, ingest.dropped), (1, 1), "{ingest:?}");
    assert!(ingest.refused >= 1, "{ingest:?}");
    stage.settles().await;
}
