//! Accessibility of every page, and screenshots in `target/screenshots`.

use std::time::Duration;

use chrono::Utc;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use serde_json::{Value, json};

use super::browser::{Browser, target};
use super::past::two_weeks;
use crate::support::database::TestDatabase;
use crate::support::service::{Service, options, settings, show};

/// Returns axe's serious and critical findings.
pub(crate) const AXE: &str = "async () => { const found = await axe.run(document, { resultTypes: ['violations'] }); \
    return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)) \
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.html + ' ' + node.failureSummary).join('; ')}`); }";

pub(crate) fn axe() -> String {
    let axe = target().join("axe/package/axe.min.js");
    std::fs::read_to_string(axe).expect("axe-core: ./scripts/test brings it")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and axe-core: ./scripts/test runs it"]
async fn every_page_is_accessible_in_light_and_dark_on_a_desktop_and_a_phone() {
    let axe = axe();
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    two_weeks(&store, Utc::now()).await;
    store.close().await;
    let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
    settings.relay.live_timeout = Duration::from_secs(3);
    settings.relay.reconnect_window = Duration::from_secs(60);
    settings.agora.cloud_recording.query_interval = Duration::from_secs(5);
    let service = Service::start(settings).await;
    let (live, failed) = shows(&service, &vendors).await;

    let browser = Browser::signed_in(&service).await;
    let pages = [
        ("now", "/admin".to_owned()),
        ("relays", "/admin/relays".to_owned()),
        ("relay-live", format!("/admin/relays/{live}")),
        ("relay-failed", format!("/admin/relays/{failed}")),
        ("ingests", "/admin/ingests".to_owned()),
        ("history", "/admin/history".to_owned()),
        ("dialog", "/admin".to_owned()),
        ("sign-in", "/admin/sign-in".to_owned()),
    ];
    for (name, path) in &pages {
        if *name == "sign-in" {
            browser.go("/admin").await;
            browser.click(".bar form button").await;
        }
        browser.go(path).await;
        browser.wait_for("h1").await;
        if *name == "dialog" {
            browser.click("[data-start]").await;
        }
        for (width, dark) in [(1280, false), (1280, true), (390, true), (390, false)] {
            browser
                .size(width, if width == 390 { 844 } else { 900 })
                .await;
            browser.dark(dark).await;
            let view = format!("{name}-{}-{width}", if dark { "dark" } else { "light" });
            let wide = browser
                .run("return document.documentElement.scrollWidth")
                .await;
            assert!(wide.as_u64() <= Some(width.into()), "{view} is {wide} wide");
            browser.run(&format!("if (!window.axe) {{ {axe} }}")).await;
            let barriers = browser.run_async(AXE).await;
            assert_eq!(barriers, json!([]), "{view}");
            browser.screenshot(&view, false).await;
        }
        browser.size(1280, 900).await;
        browser.dark(false).await;
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{name}: {complaints:?}");
    }
}

/// Returns the ids of a live relay and of a failed one.
async fn shows(service: &Service, vendors: &SimulatedVendors) -> (String, String) {
    let garden = service.go_live(41, &show("garden")).await;
    service.go_live(42, &show("sneakers-friday")).await;
    vendors.set_seller("garden", Some(12345), false);
    service.in_phase(&garden, "interrupted").await;
    let vinyl = service.go_live(43, &show("vinyl")).await;
    service.go_live(44, &show("watches")).await;
    vendors.set_seller("garden", Some(12345), true);
    service.in_phase(&garden, "live").await;
    vendors.set_seller("vinyl", Some(12345), false);
    service.in_phase(&vinyl, "interrupted").await;
    let mut keeps = show("show68");
    keeps["ingest_owner"] = json!("channel");
    service.go_live(45, &keeps).await;
    vendors.set_seller("nobody-came", Some(12345), false);
    let (_, failed) = service.start_channel(50, &show("nobody-came")).await;
    service.in_phase(&failed, "ended").await;
    let id = |relay: &Value| relay["id"].as_str().unwrap().to_owned();
    (id(&garden), id(&failed))
}
