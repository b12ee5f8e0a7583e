//! Mux's official SDK agrees with the simulated Mux.
#![cfg(feature = "sandbox")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node: ./scripts/test runs it"]
async fn the_official_sdk_works_with_the_simulated_mux_and_its_types_accept_the_answers() {
    let vendors = SimulatedVendors::start(Options {
        speed: 50.0,
        quotas: Quotas {
            mux_posts_per_second: 1000,
            mux_others_per_second: 1000,
            ..Quotas::default()
        },
        ..Options::default()
    })
    .unwrap();
    let active = broadcast(&vendors).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/mux");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&folder);
        for (name, value) in vendors.mux_environment() {
            command.env(name, value);
        }
        command
            .env("MUX_BASE_URL", vendors.mux_api_base_url())
            .env("MUX_ACTIVE_STREAM", &active);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    if !folder.join("node_modules/.package-lock.json").exists() {
        run("npm", &["ci", "--no-progress", "--silent"]);
    }
    run("node", &["check.mjs"]);
}

/// The id of a live stream on which a broadcast is running.
async fn broadcast(vendors: &SimulatedVendors) -> String {
    let http = reqwest::Client::new();
    let url = format!("{}/video/v1/live-streams", vendors.mux_api_base_url());
    let (id, secret) = (vendors.mux_token_id(), vendors.mux_token_secret());
    let body = json!({"playback_policies": ["public"], "new_asset_settings": {"playback_policies": ["public"]}});
    let create = http.post(&url).basic_auth(id, Some(secret)).json(&body);
    let stream: Value = create.send().await.unwrap().json().await.unwrap();
    let key = stream["data"]["stream_key"].as_str().unwrap();
    let publish_url = format!("rtmps://global-live.mux.com:443/app/{key}");
    vendors.publish(&publish_url, "encoder").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !vendors.state().live_inputs[0].playable {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream["data"]["id"].as_str().unwrap().to_owned()
}
