//! The recorder's page in a real browser, while Agora does not answer.

use relaykeeper::config::AgoraBackend;
use relaykeeper::vendors::agora::page::{Links, PageClaims, Ready};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::browser::Browser;
use crate::support::service::{Answer, PATIENCE, Stage, settings, show};

/// A Web SDK whose first two joins, and the leaves meanwhile, never settle. Timers run twenty times as fast.
const SILENT_AGORA: &str = r#"
(() => {
  const later = window.setTimeout;
  window.setTimeout = (done, ms, ...more) => later(done, ms / 20, ...more);
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

fn link(stage: &Stage, relay: &Value) -> String {
    let mut settings = settings(&stage.vendors, AgoraBackend::CloudRecording, "");
    settings.server.public_url.clone_from(&stage.service.url);
    let links = Links::new(&settings.agora, &settings.server.public_url).unwrap();
    let claims = PageClaims {
        relay: relay["id"].as_str().unwrap().parse().unwrap(),
        channel: relay["channel_name"].as_str().unwrap().to_owned(),
        seller_uid: 12345,
        attempt: 1,
    };
    let link = links.link(&claims, Ready::Joined);
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
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let events = service.get(&journal).await;
        let mut entries = events["events"].as_array().unwrap().iter();
        if entries.any(|entry| entry["data"]["hint"] == hint) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{events:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    loop {
        let actors = Answer::to(service.as_admin(reqwest::Method::GET, "/admin/actors")).await;
        let error = &actors.body["actors"][0]["last_error"];
        if error.as_str().is_some_and(|error| error.contains(words)) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_join_that_agora_never_answers_is_reported_and_made_again_with_another_token() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let browser = Browser::open(&stage.service).await;
    browser.before_each_page(SILENT_AGORA).await;
    browser.go(&link(&stage, &relay)).await;
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
    browser.go(&link(&stage, &relay)).await;
    operator_sees(&stage, &relay, "no_sdk", "cannot load").await;
    stage.service.come_down(42).await;
}
