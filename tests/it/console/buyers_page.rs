//! The buyers' page in a real browser, from before a show to its recording.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Marketplace, Options};
use serde_json::{Value, json};

use super::accessibility::{AXE, axe};
use super::browser::{Browser, MEDIA};
use crate::support::service::{API_TOKEN, Stage, alive, options, show};

const CHANNEL: i64 = 42;

async fn in_state(browser: &Browser, state: &str) {
    browser
        .wait(&format!("document.body.dataset.state === '{state}'"))
        .await;
}

/// Waits for another second of video, with new frames.
async fn plays(browser: &Browser) {
    let now = "(() => { const video = document.getElementById('video'); return [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames] })()";
    let before: Value = browser.run(&format!("return {now}")).await;
    browser
        .wait(&format!(
            "(([time, frames]) => time > {} + 1 && frames > {} + 5)({now})",
            before[0], before[1]
        ))
        .await;
    let error = browser
        .run("return document.getElementById('video').error")
        .await;
    assert_eq!(error, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and axe-core: ./scripts/test runs it"]
async fn a_buyer_watches_a_show_from_before_its_start_through_interruptions_to_its_recording() {
    // A player cannot follow a broadcast that is faster than real time.
    let options = Options {
        speed: 1.0,
        push_after: Duration::from_millis(300),
        playable_after: Duration::from_secs(1),
        recording_ready_after: Duration::from_secs(1),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |settings| {
        settings.relay.reconnect_window = Duration::from_secs(30);
    })
    .await;
    let service = &stage.service;
    let marketplace = Marketplace::start(&service.url, API_TOKEN.into()).unwrap();
    let browser = Browser::open_with(&service.url, &MEDIA).await;
    browser.go_to(&marketplace.watch_url(CHANNEL)).await;
    browser.wait_for_text("The show begins soon.").await;

    let relay = service.go_live(CHANNEL, &show("show68")).await;
    in_state(&browser, "live").await;
    plays(&browser).await;
    browser.click("#sound").await;
    assert_eq!(
        browser
            .run("return document.getElementById('video').muted")
            .await,
        json!(false)
    );

    // The egress dies and is replaced behind the same URL.
    stage.vendors.kill(&alive(&stage.vendors)[0].id, None);
    in_state(&browser, "interrupted").await;
    in_state(&browser, "live").await;
    plays(&browser).await;
    stage.vendors.set_seller("show68", Some(12345), false);
    in_state(&browser, "interrupted").await;
    plays(&browser).await;
    stage.vendors.set_seller("show68", Some(12345), true);
    in_state(&browser, "live").await;
    plays(&browser).await;
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
    plays(&browser).await;
    let end = browser
        .run("return document.getElementById('video').duration")
        .await;
    assert!(end.as_f64() > Some(5.0), "{end}");
    let page = browser
        .run("return document.documentElement.outerHTML")
        .await;
    assert!(!page.as_str().unwrap().contains(API_TOKEN));
}
