//! Relays whose pictures and sound are real, on each platform.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use rstest::rstest;

use super::support::{Player, options};
use crate::support::service::{Stage, alive, show, until, violations};
use crate::three_platforms::all_on;

pub(super) async fn stage(platform: &str, backend: AgoraBackend) -> Stage {
    Stage::with_vendors(backend, options(), |vendors, settings| {
        all_on(vendors, settings);
        settings.platforms.default = platform.to_owned();
        (
            settings.mux.reads_per_second,
            settings.mux.writes_per_second,
        ) = (1, 1);
        settings.ivs.requests_per_second = 5;
        settings.relay.live_timeout = Duration::from_secs(20);
        settings.relay.reconnect_window = Duration::from_secs(20);
        settings.relay.feed_timeout = Duration::from_secs(20);
        settings.relay.recording_timeout = Duration::from_secs(20);
    })
    .await
}

#[rstest]
#[case::cloudflare("cloudflare", AgoraBackend::CloudRecording)]
#[case::mux("mux", AgoraBackend::MediaPush)]
#[case::ivs("ivs", AgoraBackend::CloudRecording)]
#[tokio::test]
async fn a_show_is_seen_live_and_its_recording_is_as_long_as_the_media(
    #[case] platform: &str,
    #[case] backend: AgoraBackend,
) {
    let stage = stage(platform, backend).await;
    let Stage {
        vendors, service, ..
    } = &stage;
    let relay = service.go_live(42, &show("show68")).await;
    let player = Player::of(relay["hls_playback_url"].as_str().unwrap());
    assert_eq!(player.streams(), ["aac", "h264,640,360"]);
    let newest = player.newest().await;
    until("advanced", async || player.newest().await > newest + 1).await;
    let seen = player.sees().await;
    assert!(seen.delay() < Duration::from_secs(6), "{:?}", seen.delay());

    let ended = service.come_down(42).await;
    assert_eq!(ended["outcome"]["code"], "stopped_by_request", "{ended:#}");
    let recording = &ended["recordings"][0];
    assert_eq!(recording["state"], "ready", "{ended:#}");
    let told = recording["duration_seconds"].as_f64().unwrap();
    let player = Player::of(recording["hls_url"].as_str().unwrap());
    let playlist = player.playlist().await;
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    player.fetches_all_of(&playlist).await;
    assert_eq!(player.streams(), ["aac", "h264,640,360"]);
    let played = player.seconds();
    assert!(
        told > 4.0 && (told - played).abs() <= 1.0,
        "{told} s told, {played} s played"
    );
    let cost = &ended["cost"];
    match platform {
        // By the time on air.
        "ivs" => assert_eq!(cost["minutes"], 1, "{ended:#}"),
        _ => assert_eq!(cost["duration_seconds"].as_f64(), Some(told), "{ended:#}"),
    }
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}

#[tokio::test]
async fn a_seller_who_leaves_is_not_seen_or_heard_while_the_feed_goes_on() {
    let stage = stage("cloudflare", AgoraBackend::CloudRecording).await;
    let Stage {
        vendors, service, ..
    } = &stage;
    let relay = service.go_live(42, &show("show68")).await;
    let player = Player::of(relay["hls_playback_url"].as_str().unwrap());
    let seen = player.sees().await;
    assert!(seen.brightest() > 180, "{}", seen.brightest());
    assert!(seen.loudest > Some(5_000), "{:?}", seen.loudest);
    vendors.set_seller("show68", None, false);
    until("black", async || {
        let seen = player.sees().await;
        seen.brightest() < 40 && seen.loudest < Some(200)
    })
    .await;
    assert!(player.sees().await.delay() < Duration::from_secs(6));
    vendors.set_seller("show68", None, true);
    until("back", async || player.sees().await.brightest() > 180).await;
}

#[tokio::test]
async fn an_egress_that_dies_is_replaced_behind_the_same_url() {
    let stage = stage("cloudflare", AgoraBackend::MediaPush).await;
    let Stage {
        vendors, service, ..
    } = &stage;
    let relay = service.go_live(42, &show("show68")).await;
    let player = Player::of(relay["hls_playback_url"].as_str().unwrap());
    assert!(vendors.kill(&alive(vendors).remove(0).id, None));
    service
        .relay_when(&relay, "replaced", |relay| {
            relay["phase"] == "live" && relay["agora"]["replacements"] == 1
        })
        .await;
    let playlist = player.playlist().await;
    assert!(playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");
    assert!(playlist.contains("init_2.mp4"), "{playlist}");
    player.fetches_all_of(&playlist).await;
    let ended = service.come_down(42).await;
    let recording = &ended["recordings"][0];
    let told = recording["duration_seconds"].as_f64().unwrap();
    let played = Player::of(recording["hls_url"].as_str().unwrap()).seconds();
    assert!(
        (told - played).abs() <= 1.0,
        "{told} s told, {played} s played"
    );
    stage.settles().await;
}
