use std::time::{Duration, Instant};

use relaykeeper::config::{AgoraBackend, DefaultIngestOwner};
use relaykeeper::sandbox::{Options, SimulatedVendors};
use serde_json::json;

use super::browser::Browser;
use crate::support::console;
use crate::support::database::TestDatabase;
use crate::support::marketplace::{Marketplace, Message};
use crate::support::service::{
    ADMIN_TOKEN, API_TOKEN, PATIENCE, Service, Stage, options, settings, show,
};

const NOTHING: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_wrong_token_opens_nothing_and_signing_out_closes_everything() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let browser = Browser::open(&stage.service).await;
    browser.go("/admin/relays").await;
    assert_eq!(browser.path().await, "/admin/sign-in");
    for wrong in ["guess", API_TOKEN] {
        browser.sign_in(wrong).await;
        browser.wait_for("#refused").await;
        assert_eq!(browser.path().await, "/admin/sign-in");
    }
    let refused = browser.complaints().await;
    let only_refusals = refused.iter().all(|line| line.contains("401"));
    assert!(only_refusals, "{refused:?}");
    browser.sign_in(ADMIN_TOKEN).await;
    browser.wait_for_text("Action required").await;
    let cookie = browser.run("return document.cookie").await;
    assert_eq!(cookie, json!(""), "no script can read the session");
    browser.click(".bar form button").await;
    browser.wait("location.pathname === '/admin/sign-in'").await;
    browser.go("/admin").await;
    assert_eq!(browser.path().await, "/admin/sign-in");
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_relay_appears_is_opened_and_stopped_without_reloading() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let browser = Browser::signed_in(&stage.service).await;
    browser.go("/admin/relays").await;
    browser.run("window.neverReloaded = true").await;
    browser.wait_for_text("No matching relays.").await;
    browser.wait_for_text("live updates").await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let live = Instant::now();
    browser.wait_for("tbody .phase-live").await;
    let shown = live.elapsed();
    assert!(
        shown < Duration::from_secs(4),
        "shown after {shown:?}: polled, not pushed"
    );
    assert_eq!(
        browser.run("return window.neverReloaded").await,
        json!(true)
    );

    browser.click("tbody th a").await;
    browser.wait_for(".timeline .span-live").await;
    assert!(
        browser
            .path()
            .await
            .ends_with(relay["id"].as_str().unwrap())
    );
    let journal = browser.text("#journal").await;
    assert!(journal.contains("a buyer can press play"), "{journal}");
    browser.click("#journal li:last-child summary").await;
    browser.wait_for_text("\"event\": ").await;

    browser.run("window.neverReloaded = true").await;
    browser.click("#stop").await;
    browser.wait_for("dialog[open]").await;
    let live = stage.service.get("/v1/channels/42").await;
    assert_eq!(live["relay"]["phase"], "live", "nothing is done unasked");
    browser.click("#ask-yes").await;
    browser.wait_for_text("show68 is stopping.").await;
    browser.click("#ask-no").await;
    browser
        .wait_for_text("Ended: The relay was stopped by request.")
        .await;
    stage.service.in_phase(&relay, "ended").await;
    browser.wait_for("#acts .phase-ended").await;
    browser.wait_for_text("at Cloudflare (1 min stored)").await;
    browser.wait_for("#journal details[open]").await;
    browser
        .run("document.querySelector('#recordings img').scrollIntoView()")
        .await;
    browser
        .wait("document.querySelector('#recordings img').naturalWidth > 0")
        .await;
    assert_eq!(
        browser.run("return window.neverReloaded").await,
        json!(true)
    );
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn what_buyers_see_plays_in_the_page() {
    // A player cannot follow a broadcast that is faster than real time.
    let options = Options {
        speed: 1.0,
        push_after: Duration::from_millis(300),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |_| {}).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    let browser = Browser::signed_in(&stage.service).await;
    let id = relay["id"].as_str().unwrap();
    browser.go(&format!("/admin/relays/{id}")).await;
    browser.click("[data-play]").await;
    browser
        .wait("document.querySelector('video')?.currentTime > 0.5")
        .await;
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_message_is_delivered_again() {
    let marketplace = Marketplace::start().await;
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.webhooks.endpoint = marketplace.url();
        settings.webhooks.secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()];
        settings.webhooks.allow_private = true;
    })
    .await;
    let relay = stage.service.go_live(42, &show("told")).await;
    let told = |all: &[Message]| {
        all.iter()
            .filter(|one| one.json()["type"] == "relay.live")
            .count()
    };
    marketplace.when("relay.live", |all| told(all) == 1).await;
    let browser = Browser::signed_in(&stage.service).await;
    let id = relay["id"].as_str().unwrap();
    browser.go(&format!("/admin/relays/{id}")).await;
    browser.wait_for_text("delivered").await;
    browser.click("[data-name='relay.live']").await;
    browser.click("#ask-yes").await;
    browser.wait_for_text("relay.live is queued.").await;
    let all = marketplace.when("it again", |all| told(all) == 2).await;
    let twice: Vec<&Message> = all
        .iter()
        .filter(|one| one.json()["type"] == "relay.live")
        .collect();
    assert_eq!(
        (&twice[0].id, &twice[0].body),
        (&twice[1].id, &twice[1].body)
    );
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_channel_is_started_and_orphans_are_swept_by_hand() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let browser = Browser::signed_in(&stage.service).await;
    browser.click("[data-start]").await;
    browser.fill("input[name=channel_id]", "77").await;
    browser
        .fill("input[name=channel_name]", "not/allowed")
        .await;
    browser.fill("input[name=seller_uid]", "12345").await;
    browser.click("#ask-yes").await;
    browser.wait_for_text("channel_name: 1 to 64 ASCII").await;
    // The browser logs the refused start, and nothing else.
    let refused = browser.complaints().await;
    assert!(
        refused.iter().all(|line| line.contains("422")),
        "{refused:?}"
    );
    browser
        .run("document.querySelector('input[name=channel_name]').value = 'a<b>&c'")
        .await;
    browser.click("#ask-yes").await;
    browser.wait_for_text("a<b>&c is starting.").await;
    browser.click("#ask-found a").await;
    browser.wait_for(".timeline").await;
    assert!(browser.text("h1").await.starts_with("a<b>&c"));

    browser.go("/admin").await;
    browser.click("[data-sweep]").await;
    browser.click("#ask-yes").await;
    browser.wait_for_text("nothing to remove").await;
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test]
async fn a_session_changes_nothing_without_its_csrf_token() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let http = console::client();
    let url = |path: &str| format!("{}{path}", stage.service.url);
    let signed_in = http
        .post(url("/admin/sign-in"))
        .header("X-Forwarded-Proto", "https")
        .body(format!("token={ADMIN_TOKEN}"));
    let signed_in = signed_in.send().await.unwrap();
    assert_eq!(signed_in.status(), 303);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        cookie.starts_with("__Host-relaykeeper_session="),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let get = |path: &str| http.get(url(path)).header("Cookie", cookie);
    for path in ["/admin", "/admin/actors", "/v1/health"] {
        assert_eq!(get(path).send().await.unwrap().status(), 200, "{path}");
        // A proxy with its own sign-in adds a token.
        let proxied = get(path).bearer_auth("of-another-service");
        let proxied = proxied.header("Accept", "text/html");
        assert_eq!(proxied.send().await.unwrap().status(), 200, "{path}");
    }
    let page = get("/admin").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    let page = page.text().await.unwrap();
    let csrf = console::csrf_token(&page);
    for path in [
        "/admin/sweep?dry_run=true",
        "/v1/channels/42/stop",
        "/admin/sign-out",
    ] {
        let forged = http.post(url(path)).header("Cookie", cookie);
        let with_another = forged.try_clone().unwrap().header("X-CSRF-Token", "guess");
        assert_eq!(forged.send().await.unwrap().status(), 403, "{path}");
        assert_eq!(with_another.send().await.unwrap().status(), 403, "{path}");
    }
    let sweep = http.post(url("/admin/sweep?dry_run=true"));
    let sweep = sweep.header("Cookie", cookie).header("X-CSRF-Token", csrf);
    assert_eq!(sweep.send().await.unwrap().status(), 200);
    let out = http.post(url("/admin/sign-out")).header("Cookie", cookie);
    let out = out.body(format!("csrf={csrf}")).send().await.unwrap();
    assert_eq!(out.status(), 303);
    assert_eq!(get("/admin/actors").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn wrong_tokens_are_rate_limited_and_a_valid_one_is_not() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let http = console::client();
    let guess = |token: &str| {
        let guess = http.post(format!("{}/admin/sign-in", stage.service.url));
        guess.body(format!("token={token}")).send()
    };
    for _ in 0..10 {
        assert_eq!(guess("wrong").await.unwrap().status(), 401);
    }
    let wrong = guess("wrong").await.unwrap();
    assert_eq!(wrong.status(), 429);
    assert!(wrong.headers().contains_key("retry-after"));
    let right = guess(ADMIN_TOKEN).await.unwrap();
    assert_eq!(right.status(), 303, "guesses keep no operator out");
}

#[tokio::test]
async fn a_sign_out_holds_over_a_restart_and_another_session_goes_on() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let start = || Service::start(settings(&vendors, AgoraBackend::MediaPush, &database.url));
    let http = console::client();
    let service = start().await;
    let url = |service: &Service, path: &str| format!("{}{path}", service.url);
    let sign_in = async || {
        let signed_in = http.post(url(&service, "/admin/sign-in"));
        let signed_in = signed_in.body(format!("token={ADMIN_TOKEN}")).send().await;
        let signed_in = signed_in.unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    };
    let (mine, other) = (sign_in().await, sign_in().await);
    let page = http.get(url(&service, "/admin")).header("Cookie", &mine);
    let page = page.send().await.unwrap().text().await.unwrap();
    let csrf = console::csrf_token(&page);
    let out = http
        .post(url(&service, "/admin/sign-out"))
        .header("Cookie", &mine);
    let out = out.body(format!("csrf={csrf}")).send().await.unwrap();
    assert_eq!(out.status(), 303);
    service.shut_down();

    let service = start().await;
    let get = async |cookie: &str| {
        let get = http
            .get(url(&service, "/admin/actors"))
            .header("Cookie", cookie);
        get.send().await.unwrap().status().as_u16()
    };
    let deadline = Instant::now() + PATIENCE;
    while get(&other).await != 200 {
        assert!(Instant::now() < deadline, "the other session is gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&mine).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn a_kept_ingest_is_listed_and_given_up_unless_a_relay_uses_it() {
    let stage = Stage::with(AgoraBackend::MediaPush, options(), |settings| {
        settings.ingest.owner = DefaultIngestOwner::Channel;
    })
    .await;
    let browser = Browser::signed_in(&stage.service).await;
    browser.go("/admin/ingests").await;
    browser.run("window.neverReloaded = true").await;
    browser.wait_for_text("No channel keeps an ingest.").await;
    stage.service.go_live(42, &show("show68")).await;
    browser.wait_for_text("used by a relay").await;
    browser.click("#g42-cloudflare").await;
    browser.wait_for("dialog[open]").await;
    browser.click("#ask-yes").await;
    browser
        .wait_for_text("Stop the relay, and try again once it is over.")
        .await;
    browser.screenshot("ingests-refused", false).await;
    browser.click("#ask-no").await;

    stage.service.come_down(42).await;
    browser.wait_for_text("show68 (channel 42)").await;
    browser.wait_for_text("free").await;
    browser.screenshot("ingests-free", false).await;
    browser.click("#g42-cloudflare").await;
    browser.wait_for("dialog[open]").await;
    let kept = stage.count("SELECT COUNT(*) FROM kept_ingests").await;
    assert_eq!(kept, 1, "nothing is done unasked");
    browser.click("#ask-yes").await;
    browser.wait_for_text("It is being removed.").await;
    browser.click("#ask-no").await;
    browser.wait_for_text("No channel keeps an ingest.").await;
    assert_eq!(
        browser.run("return window.neverReloaded").await,
        json!(true)
    );
    stage.settles().await;
    let complaints = browser.complaints().await;
    let refused = complaints.iter().all(|line| line.contains("409"));
    assert!(refused, "{complaints:?}");
}
