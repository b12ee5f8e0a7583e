//! No secret appears in logs, answers or the database.
#![cfg(feature = "sandbox")]

use std::path::Path;

use crate::support::database::TestDatabase;
use crate::support::program::{Program, STORAGE_ACCESS_KEY, STORAGE_SECRET_KEY};
use crate::support::service::{
    ADMIN_TOKEN, API_TOKEN, Service, options, show, vendors_when, webhooks,
};
use base64::Engine as _;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{SimulatedVendors, VendorFault};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// The secrets, and their prefixes in case of truncation.
fn secrets(vendors: &SimulatedVendors) -> Vec<String> {
    let basic = format!(
        "{}:{}",
        vendors.agora_customer_id(),
        vendors.agora_customer_secret()
    );
    let mut secrets: Vec<String> = [
        API_TOKEN,
        ADMIN_TOKEN,
        STORAGE_ACCESS_KEY,
        STORAGE_SECRET_KEY,
        vendors.cloudflare_api_token(),
        vendors.agora_customer_secret(),
        vendors.agora_app_certificate(),
        vendors.live_webhook_secret(),
        vendors.stream_webhook_secret(),
        vendors.agora_webhook_secret(),
        // The recorder page is authorized by its signature and joins with a token of this prefix.
        "sig=",
        "007eJ",
    ]
    .map(str::to_owned)
    .into();
    secrets.push(base64::engine::general_purpose::STANDARD.encode(basic));
    for key in vendors.issued_secrets() {
        // A stream key ends with the ingest's uid, which is not secret.
        secrets.push(key[..32].to_owned());
    }
    secrets
}

async fn play(service: &Service, vendors: &SimulatedVendors, channel: i64, fault: Option<&str>) {
    if let Some(fault) = fault {
        vendors.fault(fault.parse::<VendorFault>().unwrap());
    }
    let body = show(&format!("show{channel}"));
    let (status, relay) = service.start_channel(channel, &body).await;
    let relay = if status.is_success() {
        relay
    } else {
        json!({ "id": relay["relay_id"] })
    };
    let relay = service
        .relay_when(&relay, "live or over", |relay| {
            relay["phase"] == "live" || relay["phase"] == "ended"
        })
        .await;
    if relay["phase"] == "live" {
        service.come_down(channel).await;
    }
    vendors.clear_faults();
}

async fn answers(service: &Service) -> String {
    let mut texts = String::new();
    let relays = service.get("/v1/relays?limit=200").await;
    let mut paths: Vec<String> = [
        "/v1/relays",
        "/v1/costs",
        "/v1/health",
        "/admin/actors",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/metrics",
    ]
    .map(str::to_owned)
    .into();
    for relay in relays["relays"].as_array().unwrap() {
        let id = relay["id"].as_str().unwrap();
        let channel = &relay["channel_id"];
        paths.extend([
            format!("/v1/relays/{id}"),
            format!("/v1/relays/{id}/events?limit=200"),
            format!("/v1/relays/{id}/recordings"),
            format!("/v1/channels/{channel}"),
            format!("/v1/channels/{channel}/playback"),
            format!("/v1/channels/{channel}/relays"),
        ]);
    }
    for path in paths {
        let answer = service.as_admin(Method::GET, &path).send().await.unwrap();
        texts.push_str(&format!("{path} {:?} ", answer.headers()));
        texts.push_str(&answer.text().await.unwrap());
        texts.push('\n');
    }
    texts
}

/// The first secret, with its context.
fn leak(bytes: &[u8], secrets: &[String]) -> Option<String> {
    secrets.iter().find_map(|secret| {
        let at = bytes
            .windows(secret.len())
            .position(|part| part == secret.as_bytes())?;
        let from = at.saturating_sub(300);
        let to = (at + 200).min(bytes.len());
        Some(String::from_utf8_lossy(&bytes[from..to]).into_owned())
    })
}

#[rstest]
#[case::cloud_recording(
    AgoraBackend::CloudRecording,
    &[
        "agora.cloud_recording.start=cut-after",
        "agora.cloud_recording.start=400",
        "agora.cloud_recording.start=401",
        "agora.cloud_recording.start=not-json",
        "agora.cloud_recording.query=500,times=3",
        "agora.cloud_recording.stop=500,times=2",
    ]
)]
#[case::media_push(
    AgoraBackend::MediaPush,
    &[
        "agora.media_push.create=cut-after",
        "agora.media_push.create=400",
        "agora.media_push.create=401",
        "agora.media_push.create=not-json",
        "agora.media_push.get=not-json,times=3",
        "agora.media_push.delete=500,times=2",
    ]
)]
#[tokio::test]
async fn no_secret_leaks_from_good_and_bad_relays(
    #[case] backend: AgoraBackend,
    #[case] faults: &[&str],
) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("s.db").display());
    let mut program = Program::serve(&vendors, backend, &url, &[("RUST_LOG", "trace")]);
    program.wait_until_ready().await;
    vendors.set_webhooks(webhooks(&program.service.url));
    let service = &program.service;

    play(service, &vendors, 1, None).await;
    let cloudflare = [
        "cloudflare.live_inputs.create=cut-after",
        "cloudflare.live_inputs.create=400",
        "cloudflare.live_inputs.create=not-json",
        "cloudflare.live_inputs.update=500,times=2",
        "customer.lifecycle=not-json,times=3",
    ];
    let mut channel = 1;
    for fault in cloudflare.iter().chain(faults) {
        channel += 1;
        play(service, &vendors, channel, Some(fault)).await;
    }

    // Its egress is replaced, which rotates keys; it is still live during the reads.
    let replaced = service.go_live(100, &show("show100")).await;
    let first = vendors_when(&vendors, "an egress that publishes", |vendors| {
        let egresses = vendors.state().egresses;
        egresses.into_iter().find(|egress| egress.publishing)
    })
    .await;
    vendors.kill(&first.id, None);
    service
        .relay_when(&replaced, "live with another", |relay| {
            relay["phase"] == "live" && relay["agora"]["replacements"] == 1
        })
        .await;
    // Requests with secrets in the wrong place.
    let stranger = reqwest::Client::new();
    for path in ["/v1/relays?token=", "/recorder?sig=", "/nowhere?key="] {
        let url = format!("{}{path}{API_TOKEN}", service.url);
        let _ = stranger
            .get(url)
            .bearer_auth(STORAGE_SECRET_KEY)
            .send()
            .await;
    }
    let odd = json!({ "channel_name": "x", "seller_uid": 1, "stream_key": STORAGE_SECRET_KEY });
    service.post("/v1/channels/7/start", &[], &odd).await;

    let secrets = secrets(&vendors);
    assert!(secrets.len() > 30, "{}", secrets.len());
    let answered = answers(service).await;
    assert_eq!(leak(answered.as_bytes(), &secrets), None, "in an answer");
    let log = program.log();
    assert!(log.contains("TRACE") && log.contains("phase"), "it logs");
    assert_eq!(leak(log.as_bytes(), &secrets), None, "in the log");
    let id = replaced["id"].as_str().unwrap().to_owned();
    no_secret_is_stored(folder.path(), &id, &secrets);
    program.kill();
    no_secret_is_stored(folder.path(), &id, &secrets);
}

/// Searches all bytes of the database's files, including deleted rows.
fn no_secret_is_stored(folder: &Path, id: &str, secrets: &[String]) {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let known = [id.to_owned(), "show100".to_owned()];
    assert!(leak(&all, &known).is_some(), "it is the database");
    assert_eq!(leak(&all, secrets), None, "in the database");
}

#[tokio::test]
async fn the_search_finds_a_secret() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let mut program = Program::serve(&vendors, AgoraBackend::MediaPush, &database.url, &[]);
    program.wait_until_ready().await;
    program.service.go_live(1, &show("show1")).await;
    let secrets = secrets(&vendors);
    let key = vendors.issued_secrets().remove(0);
    let text: Value = json!({ "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{key}") });
    assert!(leak(text.to_string().as_bytes(), &secrets).is_some());
}
