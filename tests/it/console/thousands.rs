use std::time::{Duration, Instant};

use chrono::Utc;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use serde_json::json;

use super::browser::Browser;
use super::past::live_ones;
use crate::support::database::TestDatabase;
use crate::support::service::{Service, options, settings};

const RELAYS: i64 = 2000;
/// A page of the table takes at most this long on a slow machine in a debug build.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: ./scripts/test runs it"]
async fn two_thousand_relays_leave_the_table_responsive() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    live_ones(&store, RELAYS, Utc::now()).await;
    store.close().await;
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    // The simulated vendors do not know these relays: polls get no permit, so that none ends a relay.
    settings.vendors.read_timeout = Duration::from_millis(50);
    settings.cloudflare.customer_requests_per_second = 1;
    settings.agora.media_push.requests_per_second = 1;
    settings.agora.channel_requests_per_second = 1;
    settings.janitor.interval = Duration::from_secs(3600);
    let service = Service::start(settings).await;
    let browser = Browser::signed_in(&service).await;

    let began = Instant::now();
    browser.go("/admin/relays?sort=channel").await;
    browser.wait_for_text(&format!("1 to 50 of {RELAYS}")).await;
    let took = began.elapsed();
    assert!(took < SOON, "the first page took {took:?}");
    let rows = browser.run("return document.querySelectorAll('tbody tr').length");
    assert_eq!(rows.await, json!(50));

    let began = Instant::now();
    browser.click("#next").await;
    browser.wait_for_text("51 to 100 of").await;
    let took = began.elapsed();
    assert!(took < SOON, "the next page took {took:?}");

    browser.fill("input[type=search]", "show11234").await;
    browser.wait_for_text("1 to 1 of 1").await;
    browser.go("/admin").await;
    browser
        .wait("document.querySelector('.phase-live .figure').innerText === '2000'")
        .await;
    // The longest time in which the page, which receives live updates, does not react.
    browser.go("/admin/relays").await;
    let blocked = browser
        .run_async(
            "async () => { let worst = 0; let last = performance.now(); const end = last + 4500; \
             while (last < end) { await new Promise((go) => setTimeout(go, 10)); \
             const now = performance.now(); worst = Math.max(worst, now - last - 10); last = now; } return worst; }",
        )
        .await;
    let blocked = blocked.as_f64().unwrap();
    assert!(blocked < 500.0, "the page stood still for {blocked} ms");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
}
