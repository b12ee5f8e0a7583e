//! The buyers' page in a real browser, with real media from before a show to its recording.

use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::Marketplace;
use serde_json::{Value, json};

use super::accessibility::{AXE, axe};
use super::browser::{Browser, MEDIA};
use crate::media::support::options;
use crate::support::service::{API_TOKEN, PATIENCE, Service, Stage, alive, show};

const CHANNEL: i64 = 42;
/// `sees()`: what a buyer sees and hears now. `delay`: how old the picture is in ms, by the clock in its bars; null if they are unclear.
pub(super) const SENSES: &str = "
const video = document.getElementById('video');
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [640, 360];
const pixels = canvas.getContext('2d', { willReadFrequently: true });
const audio = new AudioContext();
const analyser = audio.createAnalyser();
analyser.fftSize = 4096;
audio.createMediaElementSource(video).connect(analyser).connect(audio.destination);
window.sees = () => {
  pixels.drawImage(video, 0, 0, 640, 360);
  const { data } = pixels.getImageData(0, 0, 640, 360);
  const isWhite = (x, y) => data[(y * 640 + x) * 4] > 128;
  let [clock, clear, brightest] = [0, true, 0];
  for (let bar = 0; bar < 32; bar += 1) {
    const [bit, inverse] = [isWhite(bar * 20 + 10, 20), isWhite(bar * 20 + 10, 60)];
    clear &&= bit !== inverse;
    clock = clock * 2 + (bit ? 1 : 0);
  }
  for (let at = 90 * 640 * 4; at < data.length; at += 4) brightest = Math.max(brightest, data[at], data[at + 1], data[at + 2]);
  const [samples, levels] = [new Float32Array(4096), new Float32Array(2048)];
  analyser.getFloatTimeDomainData(samples);
  analyser.getFloatFrequencyData(levels);
  return {
    time: video.currentTime,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    delay: clear ? (Date.now() - clock + 2 ** 33) % 2 ** 32 : null,
    brightest,
    loudness: Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length),
    peak: (levels.indexOf(Math.max(...levels)) * audio.sampleRate) / 4096,
    error: video.error?.message ?? null,
  };
};";
/// Of low-latency HLS, which has 2 to 3 s. Classic HLS has 7.
const DELAY_MS: u32 = 6_000;

/// A marketplace, and a buyer at the page of a show that has not begun.
pub(super) async fn waiting_buyer(service: &Service, channel: i64) -> (Marketplace, Browser) {
    let marketplace = Marketplace::start(&service.url, API_TOKEN.into()).unwrap();
    let browser = Browser::open_with(&service.url, &MEDIA).await;
    browser.go_to(&marketplace.watch_url(channel)).await;
    browser.wait_for_text("The show begins soon.").await;
    (marketplace, browser)
}

pub(super) async fn in_state(browser: &Browser, state: &str) {
    browser
        .wait(&format!("document.body.dataset.state === '{state}'"))
        .await;
}

/// Waits until another second is played with new frames, and until a condition on `now` holds.
pub(super) async fn plays(browser: &Browser, condition: &str) -> Value {
    let before = browser.run("return sees()").await;
    let script = format!(
        "const now = sees(); now.holds = now.time > {} + 1 && now.frames > {} + 5 && {condition}; return now",
        before["time"], before["frames"]
    );
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = browser.run(&script).await;
        if now["holds"] == true {
            assert_eq!(now["error"], Value::Null, "{now:#}");
            return now;
        }
        assert!(Instant::now() < deadline, "never {condition}: {now:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The seller is seen and heard, and the picture is not old.
pub(super) fn seller_within(delay_ms: u32) -> String {
    format!(
        "now.delay !== null && now.delay < {delay_ms} && now.brightest > 180 && now.loudness > 0.05 && Math.abs(now.peak - 440) < 15"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium, axe-core and ffmpeg: ./scripts/test runs it"]
async fn a_buyer_watches_a_show_from_before_its_start_through_interruptions_to_its_recording() {
    let stage = Stage::with(AgoraBackend::CloudRecording, options(), |settings| {
        settings.relay.live_timeout = Duration::from_secs(20);
        settings.relay.reconnect_window = Duration::from_secs(30);
        settings.relay.feed_timeout = Duration::from_secs(20);
        settings.relay.recording_timeout = Duration::from_secs(20);
    })
    .await;
    let service = &stage.service;
    let (_marketplace, browser) = waiting_buyer(service, CHANNEL).await;

    let mut show = show("show68");
    show["latency"] = json!("low");
    let relay = service.go_live(CHANNEL, &show).await;
    in_state(&browser, "live").await;
    browser.click("#sound").await;
    browser.run(SENSES).await;
    plays(&browser, &seller_within(DELAY_MS)).await;

    // The egress dies and is replaced behind the same URL.
    stage.vendors.kill(&alive(&stage.vendors)[0].id, None);
    in_state(&browser, "interrupted").await;
    in_state(&browser, "live").await;
    plays(&browser, &seller_within(DELAY_MS)).await;

    // The seller's page is black and silent, and the feed goes on.
    stage.vendors.set_seller("show68", Some(12345), false);
    in_state(&browser, "interrupted").await;
    let away = format!(
        "now.delay !== null && now.delay < {DELAY_MS} && now.brightest < 40 && now.loudness < 0.005"
    );
    plays(&browser, &away).await;
    stage.vendors.set_seller("show68", Some(12345), true);
    in_state(&browser, "live").await;
    plays(&browser, &seller_within(DELAY_MS)).await;
    for (width, dark) in [(1280, false), (390, true)] {
        browser.size(width, 844).await;
        browser.dark(dark).await;
        browser
            .run(&format!("if (!window.axe) {{ {} }}", axe()))
            .await;
        assert_eq!(browser.run_async(AXE).await, json!([]), "{width} wide");
        browser.screenshot(&format!("watch-{width}"), false).await;
    }

    let ended = service.come_down(CHANNEL).await;
    assert_eq!(ended["id"], relay["id"]);
    browser.wait_for_text("The show has ended.").await;
    browser.click("#recording").await;
    browser.wait_for_text("This is its recording.").await;
    let recorded = plays(&browser, "now.delay !== null && now.brightest > 180").await;
    assert!(
        recorded["delay"].as_u64() > Some(u64::from(DELAY_MS)),
        "{recorded:#}"
    );
    let length = browser
        .run("return document.getElementById('video').duration")
        .await;
    let told = ended["recordings"][0]["duration_seconds"].as_f64().unwrap();
    assert!(
        (length.as_f64().unwrap() - told).abs() <= 1.0,
        "{length} s played, {told} s told"
    );
    let page = browser
        .run("return document.documentElement.outerHTML")
        .await;
    assert!(!page.as_str().unwrap().contains(API_TOKEN));
    // The player tells of interruptions; the page's policy refused nothing.
    let complaints = browser.complaints().await;
    let refused = |line: &&String| line.contains("Content Security Policy");
    assert_eq!(complaints.iter().find(refused), None);
}
