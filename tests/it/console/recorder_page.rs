//! The recorder's page, as it is served, in a real browser: with media by WebRTC, and while Agora does not answer.

mod cdn;

use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::vendors::agora::page::{Links, PageClaims, Ready};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use self::cdn::Cdn;
use super::browser::{Browser, MEDIA, target};
use crate::support::service::{Answer, PATIENCE, Service, Stage, options, settings, show};

/// Runs timers twenty times as fast.
const HASTE: &str = "(() => {
  const later = window.setTimeout;
  window.setTimeout = (done, ms, ...more) => later(done, ms / 20, ...more);
})()";

/// A Web SDK whose first two joins, and the leaves meanwhile, never settle.
const SILENT_AGORA: &str = r#"
(() => {
  const joins = (window.joins = []);
  const silence = () => new Promise(() => {});
  class Client {
    constructor() { this.listeners = {}; this.remoteUsers = []; this.connectionState = "DISCONNECTED"; }
    on(event, listener) { this.listeners[event] = listener; }
    leave() { return this.silent ? silence() : Promise.resolve(); }
    join(app, channel, token, uid) {
      joins.push({ channel, token, uid });
      this.silent = joins.length < 3;
      if (this.silent) return silence();
      this.connectionState = "CONNECTED";
      this.remoteUsers = [{ uid: 12345, hasVideo: false, hasAudio: false }];
      this.listeners["connection-state-change"]("CONNECTED", "CONNECTING");
      return Promise.resolve(uid);
    }
  }
  const AgoraRTC = { setLogLevel() {}, createClient: () => new Client() };
  Object.defineProperty(window, "AgoraRTC", { value: AgoraRTC, writable: false });
})();
"#;

/// How often the page reports presence without a change.
const HEARTBEAT: Duration = Duration::from_secs(30);
pub(super) const WEB_SDK: &str = include_str!("recorder_page/web_sdk.js");
pub(super) const PARTICIPANTS: &str = include_str!("recorder_page/participants.js");
/// The shares of a screenshot's pixels that are red and lime.
const SHARES: &str = "async () => {
  const bytes = Uint8Array.from(atob(window.picture), (one) => one.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const pixels = canvas.getContext('2d');
  pixels.drawImage(bitmap, 0, 0);
  const { data } = pixels.getImageData(0, 0, bitmap.width, bitmap.height);
  let [red, lime] = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    red += data[at] > 150 && data[at + 1] < 90;
    lime += data[at] < 90 && data[at + 1] > 150;
  }
  return [red, lime].map((count) => count * 4 / data.length);
}";

pub(super) fn link(stage: &Stage, relay: &Value, ready: Ready) -> String {
    let mut settings = settings(&stage.vendors, AgoraBackend::CloudRecording, "");
    settings.server.public_url.clone_from(&stage.service.url);
    let links = Links::new(&settings.agora, &settings.server.public_url).unwrap();
    let claims = PageClaims {
        relay: relay["id"].as_str().unwrap().parse().unwrap(),
        channel: relay["channel_name"].as_str().unwrap().to_owned(),
        seller_uid: 12345,
        attempt: 1,
    };
    let link = links.link(&claims, ready);
    let link = link.expose_secret().strip_prefix(&stage.service.url);
    link.unwrap().to_owned()
}

/// Waits until the trouble is in the relay's journal, and then in its actor's last error. The page repeats its report; a report
/// of the simulated egress's page clears the error.
async fn operator_sees(stage: &Stage, relay: &Value, trouble: &str, words: &str) {
    let service = &stage.service;
    let journal = format!(
        "/v1/relays/{}/events?limit=200",
        relay["id"].as_str().unwrap()
    );
    let hint = json!({"event": "page_cannot_join", "trouble": trouble});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = service.get(&journal).await;
        let mut entries = events["events"].as_array().unwrap().iter();
        if entries.any(|entry| entry["data"]["hint"] == hint) {
            break;
        }
        assert!(Instant::now() < deadline, "{events:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    loop {
        let actors = Answer::to(service.as_admin(reqwest::Method::GET, "/admin/actors")).await;
        let mut actors = actors.body["actors"].as_array().unwrap().iter();
        let actor = actors.find(|actor| actor["relay_id"] == relay["id"]);
        let error = &actor.unwrap()["last_error"];
        if error.as_str().is_some_and(|error| error.contains(words)) {
            return;
        }
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_join_that_agora_never_answers_is_reported_and_made_again_with_another_token() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let browser = Browser::open(&stage.service).await;
    browser.before_each_page(HASTE).await;
    browser.before_each_page(SILENT_AGORA).await;
    browser.go(&link(&stage, &relay, Ready::Joined)).await;
    // The third join succeeds.
    operator_sees(&stage, &relay, "timeout", "does not answer").await;
    browser.wait("window.joins?.length === 3").await;
    let joins = browser.run("return window.joins").await;
    for (before, after) in [(0, 1), (1, 2)] {
        assert_eq!(joins[before]["channel"], "show68");
        assert_ne!(joins[before]["token"], joins[after]["token"]);
        assert_ne!(joins[before]["uid"], joins[after]["uid"]);
    }
    stage.service.come_down(42).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_page_that_cannot_load_the_web_sdk_says_so() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let browser = Browser::open(&stage.service).await;
    browser.go(&link(&stage, &relay, Ready::Joined)).await;
    operator_sees(&stage, &relay, "no_sdk", "cannot load").await;
    stage.service.come_down(42).await;
}

/// Agora cannot be reached: the SDK's join never settles.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and Agora's Web SDK: ./scripts/test runs it"]
async fn the_published_web_sdk_is_loaded_and_its_silence_reported_and_a_changed_one_is_refused() {
    let file = target().join("agora-rtc/package/AgoraRTC_N-production.js");
    let file = std::fs::read(file).expect("Agora's Web SDK: ./scripts/test brings it");
    let mut changed = file.clone();
    changed.push(b'\n');
    let cdn = Cdn::serving(file);
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let hosts = format!(
        "--host-resolver-rules=MAP download.agora.io:443 127.0.0.1:{}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        cdn.port
    );
    let flags = [hosts.as_str(), "--ignore-certificate-errors"];
    let browser = Browser::open_with(&stage.service.url, &flags).await;
    browser.before_each_page(HASTE).await;

    let relay = stage.service.go_live(42, &show("show68")).await;
    browser.go(&link(&stage, &relay, Ready::FirstFrame)).await;
    browser.wait("window.AgoraRTC?.VERSION === '4.24.8'").await;
    operator_sees(&stage, &relay, "timeout", "does not answer").await;
    let tokens = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/recorder/token'))";
    browser.wait(&format!("{tokens}.length >= 2")).await;
    let refused = browser.complaints().await;
    assert!(
        !refused
            .iter()
            .any(|line| line.contains("Content Security Policy")),
        "{refused:?}"
    );

    cdn.serve(changed);
    let relay = stage.service.go_live(43, &show("show69")).await;
    browser.go(&link(&stage, &relay, Ready::FirstFrame)).await;
    operator_sees(&stage, &relay, "no_sdk", "cannot load").await;
    let refused = browser.complaints().await;
    assert!(
        refused.iter().any(|line| line.contains("valid digest")),
        "{refused:?}"
    );
}

/// What the page did, in order.
async fn calls(browser: &Browser) -> Vec<String> {
    let calls = browser.run("return window.seen.calls").await;
    serde_json::from_value(calls).unwrap()
}

async fn shown(browser: &Browser, colour: &str) -> u64 {
    let frames = browser.run("return window.seen.shown").await;
    frames[colour].as_u64().unwrap()
}

async fn shows_more(browser: &Browser, service: &Service) {
    let before = shown(browser, "red").await;
    browser
        .wait(&format!("window.seen.shown.red > {}", before + 5))
        .await;
    assert_eq!(
        service.get("/v1/channels/42").await["relay"]["phase"],
        "live"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn the_page_shows_and_plays_the_seller_alone_and_reports_when_they_leave_and_return() {
    let stage = Stage::with(AgoraBackend::CloudRecording, options(), |settings| {
        settings.relay.reconnect_window = Duration::from_secs(60);
    })
    .await;
    let service = &stage.service;
    let relay = service.go_live(42, &show("show68")).await;
    let browser = Browser::open_with(&service.url, &MEDIA).await;
    let channel = browser.new_window().await;
    browser.go("/livez").await;
    browser.run(PARTICIPANTS).await;
    browser.run("enter(777, 'lime', 1000)").await;

    let page = browser.new_window().await;
    browser.size(640, 360).await;
    browser.before_each_page(WEB_SDK).await;
    browser.go(&link(&stage, &relay, Ready::FirstFrame)).await;
    // Another participant sends audio and video. The simulated egress's page says that the seller is there; this one reports later.
    browser
        .wait("window.seen.calls.includes('arrived 777 video')")
        .await;
    service.in_phase(&relay, "interrupted").await;
    let before = calls(&browser).await;
    assert!(!before.contains(&"notifyReady".to_owned()), "{before:?}");

    browser.switch(&channel).await;
    browser.run("enter(12345, 'red', 440)").await;
    browser.switch(&page).await;
    service.in_phase(&relay, "live").await;
    browser
        .wait("window.seen.calls.includes('notifyReady')")
        .await;
    browser
        .wait("window.seen.calls.indexOf('notifyReady') < window.seen.calls.lastIndexOf('renewToken')")
        .await;
    shows_more(&browser, service).await;
    let picture = browser.screenshot("recorder", false).await;

    browser.switch(&channel).await;
    browser.run("leave(12345)").await;
    let left = Instant::now();
    service.in_phase(&relay, "interrupted").await;
    assert!(left.elapsed() < HEARTBEAT / 2, "not reported at once");
    browser.run("enter(12345, 'red', 440)").await;
    browser.switch(&page).await;
    service.in_phase(&relay, "live").await;
    shows_more(&browser, service).await;

    let calls = calls(&browser).await;
    let position = |call: &str| calls.iter().position(|one| one == call).unwrap();
    assert!(
        position("first-frame 12345") < position("notifyReady"),
        "{calls:?}"
    );
    for (call, times) in [
        ("join", 1),
        ("notifyReady", 1),
        ("play 12345 video", 2),
        ("play 12345 audio", 2),
    ] {
        assert_eq!(
            calls.iter().filter(|one| *one == call).count(),
            times,
            "{call}: {calls:?}"
        );
    }
    assert!(
        !calls.iter().any(|call| call.starts_with("play 777")),
        "{calls:?}"
    );
    assert_eq!(
        (
            shown(&browser, "lime").await,
            shown(&browser, "other").await
        ),
        (0, 0)
    );
    let heard = browser.run("return window.seen.heard").await;
    let level = |tone: &str| heard[tone].as_f64().unwrap();
    assert!(
        level("440") > -40.0 && level("1000") < level("440") - 30.0,
        "{heard}"
    );
    let tokens = browser.run("return window.seen.tokens").await;
    assert_ne!(tokens[0], tokens[1]);
    let complaints = browser.complaints().await;
    let unreached =
        |line: &String| line.contains("download.agora.io") && line.contains("NOT_RESOLVED");
    assert!(complaints.iter().all(unreached), "{complaints:?}");

    browser.go_to("data:text/html,").await;
    browser.run(&format!("window.picture = '{picture}'")).await;
    let shares = browser.run_async(SHARES).await;
    assert!(
        shares[0].as_f64() > Some(0.99) && shares[1] == 0,
        "{shares}"
    );
    service.come_down(42).await;
}
