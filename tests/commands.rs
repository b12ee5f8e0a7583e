//! The operator's commands, as they are typed: replay, sweep, webhooks.
#![cfg(feature = "sandbox")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::Vendors;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use support::database::TestDatabase;
use support::service::{Stage, options, show};

/// Runs the binary with these settings in its environment, and nothing else.
async fn relaykeeper(
    vendors: &Vendors,
    database: &TestDatabase,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(folder.path())
        .env("DATABASE_URL", &database.url)
        .env("RELAYKEEPER__RELAY__DEPLOYMENT", "tests")
        .env("RELAYKEEPER__JANITOR__GRACE", "1ms")
        .env("CLOUDFLARE_STREAM_ACCOUNT_ID", vendors.account_id())
        .env(
            "CLOUDFLARE_STREAM_API_TOKEN",
            vendors.cloudflare_api_token(),
        )
        .env("CLOUDFLARE_API_BASE_URL", vendors.cloudflare_api_base_url())
        .env("AGORA_APP_ID", vendors.agora_app_id())
        .env("AGORA_CUSTOMER_ID", vendors.agora_customer_id())
        .env("AGORA_CUSTOMER_SECRET", vendors.agora_customer_secret())
        .env("AGORA_API_BASE_URL", vendors.agora_base_url())
        .env("RUST_LOG", "warn")
        .envs(more.iter().copied());
    command.output().await.expect("it runs")
}

fn out(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn a_journal_adds_up_to_what_is_stored_and_a_state_that_was_tampered_with_is_found() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let (_, relay) = stage.service.start_channel(7, &show("replayed")).await;
    stage.service.in_phase(&relay, "live").await;
    stage.service.stop_channel(7).await;
    let relay = stage.service.in_phase(&relay, "ended").await;
    let Stage {
        vendors,
        service,
        database,
    } = stage;
    service.shut_down();
    let id = relay["id"].as_str().expect("an id");
    let output = relaykeeper(&vendors, &database, &["replay", id], &[]).await;
    assert!(output.status.success(), "{}", out(&output));
    for word in [
        "requested",
        "live_input_ready",
        "recorder_accepted",
        "live",
        "ending",
        "ended",
        "disable_live_input",
    ] {
        assert!(out(&output).contains(word), "{word}: {}", out(&output));
    }
    let output = relaykeeper(&vendors, &database, &["replay", "--all"], &[]).await;
    assert!(
        output.status.success() && out(&output).contains("1 relays replayed, 0 differ"),
        "{}",
        out(&output)
    );

    let sql = Database::connect(&database.url).await.expect("the file");
    sql.execute_unprepared(
        "UPDATE relays SET state = replace(state, '\"announced\":', '\"announced\":1')",
    )
    .await
    .expect("a tampered row");
    sql.close().await.expect("closed");
    let output = relaykeeper(&vendors, &database, &["replay", id], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("DIFFERS") && out(&output).contains("announced"),
        "{}",
        out(&output)
    );
}

#[tokio::test]
async fn an_orphan_is_swept_and_what_is_anothers_is_left_alone() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let (_, relay) = stage.service.start_channel(7, &show("swept")).await;
    let relay = stage.service.in_phase(&relay, "live").await;
    let live = relay["stream_key_id"]
        .as_str()
        .expect("a live input")
        .to_owned();
    let marked = stage.vendors.state().live_inputs;
    let mark = marked
        .iter()
        .find(|input| input.uid == live)
        .expect("ours")
        .meta["relaykeeper"]
        .clone();
    let mut parts: Vec<&str> = mark.as_str().expect("a mark").split('_').collect();
    let (own, foreign) = (parts.clone(), "ffffffff");
    let orphan = format!("{}_{}_{}_1", own[0], own[1], uuid::Uuid::new_v4().simple());
    parts[1] = foreign;
    let others = parts.join("_");
    for (uid_of, mark) in [("orphan", &orphan), ("others", &others)] {
        let path = format!(
            "{}/accounts/{}/stream/live_inputs",
            stage.vendors.cloudflare_api_base_url(),
            stage.vendors.account_id()
        );
        let made = reqwest::Client::new()
            .request(Method::POST, path)
            .bearer_auth(stage.vendors.cloudflare_api_token())
            .json(&json!({ "meta": { "name": uid_of, "relaykeeper": mark } }))
            .send()
            .await
            .expect("made");
        assert!(made.status().is_success());
    }
    let left = |vendors: &Vendors| -> Vec<Value> {
        let inputs = vendors.state().live_inputs;
        inputs
            .iter()
            .filter(|input| !input.deleted)
            .map(|input| input.meta["relaykeeper"].clone())
            .collect()
    };
    let output = relaykeeper(
        &stage.vendors,
        &stage.database,
        &["sweep", "--dry-run"],
        &[],
    )
    .await;
    assert!(
        output.status.success() && out(&output).contains("1 would be removed, 1 of others"),
        "{}",
        out(&output)
    );
    assert_eq!(left(&stage.vendors).len(), 3);

    let output = relaykeeper(&stage.vendors, &stage.database, &["sweep"], &[]).await;
    assert!(
        output.status.success() && out(&output).contains("1 removed"),
        "{}",
        out(&output)
    );
    assert_eq!(left(&stage.vendors).len(), 2);
    assert!(!left(&stage.vendors).contains(&json!(orphan)));

    let output = relaykeeper(
        &stage.vendors,
        &stage.database,
        &["sweep", "--database", foreign],
        &[],
    )
    .await;
    assert!(
        output.status.success() && out(&output).contains("1 removed"),
        "{}",
        out(&output)
    );
    assert_eq!(left(&stage.vendors), [mark], "the live relay's own stays");
    let bad = relaykeeper(
        &stage.vendors,
        &stage.database,
        &["sweep", "--database", "XYZ"],
        &[],
    )
    .await;
    assert!(!bad.status.success() && out(&bad).contains("8 lower-case hexadecimal digits"));
    assert_eq!(
        stage
            .service
            .get(&format!(
                "/v1/relays/{}",
                relay["id"].as_str().expect("an id")
            ))
            .await["phase"],
        "live"
    );
}

#[tokio::test]
async fn webhooks_are_registered_once_and_their_secrets_go_to_a_file_and_nowhere_else() {
    let vendors = Vendors::start(options()).expect("vendors");
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secrets.env");
    let path = file.to_str().expect("a path");
    let public = [("RELAYKEEPER__SERVER__PUBLIC_URL", "http://127.0.0.1:9")];
    let output = relaykeeper(&vendors, &database, &["webhooks", "status"], &public).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("not set"), "{}", out(&output));

    let register = ["webhooks", "register", "--secrets-file", path];
    let output = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(output.status.success(), "{}", out(&output));
    let written = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(
        std::fs::metadata(&file)
            .expect("the file")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    for name in [
        "CLOUDFLARE_LIVE_WEBHOOK_SECRET=",
        "CLOUDFLARE_STREAM_WEBHOOK_SECRET=",
    ] {
        let secret = written
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect(name);
        assert!(
            secret.len() >= 32 && !out(&output).contains(secret),
            "{name}"
        );
    }
    let output = relaykeeper(&vendors, &database, &["webhooks", "status"], &public).await;
    assert!(output.status.success(), "{}", out(&output));

    let output = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(
        !output.status.success(),
        "a file that is there is not overwritten"
    );
    let other = [("RELAYKEEPER__SERVER__PUBLIC_URL", "http://127.0.0.1:10")];
    let file = folder.path().join("other.env");
    let register = [
        "webhooks",
        "register",
        "--secrets-file",
        file.to_str().expect("a path"),
    ];
    let output = relaykeeper(&vendors, &database, &register, &other).await;
    assert!(
        !output.status.success() && out(&output).contains("--replace"),
        "{}",
        out(&output)
    );
    assert!(!file.exists(), "nothing is half done");
    let replace = [&register[..], &["--replace"]].concat();
    let output = relaykeeper(&vendors, &database, &replace, &other).await;
    assert!(output.status.success(), "{}", out(&output));
}
