//! How long a show takes to a buyer's screen, on one machine. `RELAYKEEPER_TEST_DELAYS=1` runs it; `--no-capture` shows the figures.

use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;

use super::browser::Browser;
use super::buyers_page::{SENSES, in_state, plays, waiting_buyer};
use crate::media::support::{Player, options};
use crate::support::service::{Stage, show};

const CHANNEL: i64 = 42;
const READINGS: usize = 9;

/// Returns the delay of a buyer who comes later, in milliseconds.
async fn measure(latency: &str) -> u64 {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.relay.live_timeout = Duration::from_secs(30);
        settings.relay.recording_timeout = Duration::from_secs(20);
    })
    .await;
    let service = &stage.service;
    let (marketplace, browser) = waiting_buyer(service, CHANNEL).await;

    let mut show = show("show68");
    show["latency"] = latency.into();
    let begun = Instant::now();
    let (_, relay) = service.start_channel(CHANNEL, &show).await;
    let accepted = begun.elapsed();
    let manifest = relay["hls_playback_url"].as_str().unwrap();
    let player = match latency {
        "low" => Player::low_latency(manifest),
        _ => Player::of(manifest),
    };
    player.waits().await;
    let playable = begun.elapsed();
    service.in_phase(&relay, "live").await;
    let live = begun.elapsed();
    in_state(&browser, "live").await;
    browser
        .wait("document.getElementById('video').currentTime > 0")
        .await;
    let seen = begun.elapsed();

    // Who is there from the start is nearer than who comes to a full playlist.
    let first = glass_to_glass(&browser).await;
    browser
        .wait("document.getElementById('video').currentTime > 14")
        .await;
    browser.go_to(&marketplace.watch_url(CHANNEL)).await;
    in_state(&browser, "live").await;
    let later = glass_to_glass(&browser).await;
    println!(
        "{latency} latency, from the start: accepted {accepted:.1?}, playable {playable:.1?}, live {live:.1?}, a picture in the \
         browser {seen:.1?}; from glass to glass {} ms, for one who comes later {} ms",
        range(&first),
        range(&later)
    );
    service.come_down(CHANNEL).await;
    later[READINGS / 2]
}

fn range(delays: &[u64]) -> String {
    let (least, most) = (delays[0], delays[READINGS - 1]);
    format!("{} ({least} to {most})", delays[READINGS / 2])
}

/// In milliseconds, in order.
async fn glass_to_glass(browser: &Browser) -> Vec<u64> {
    browser.click("#sound").await;
    browser.run(SENSES).await;
    let mut delays = Vec::new();
    for _ in 0..READINGS {
        let now = plays(browser, "now.delay !== null").await;
        delays.push(now["delay"].as_u64().unwrap());
    }
    delays.sort_unstable();
    delays
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and ffmpeg, and is run on demand"]
async fn low_latency_brings_a_buyer_nearer() {
    if std::env::var("RELAYKEEPER_TEST_DELAYS").is_err() {
        return;
    }
    let (normal, low) = (measure("normal").await, measure("low").await);
    assert!(low * 2 < normal, "{low} and {normal} ms");
}
