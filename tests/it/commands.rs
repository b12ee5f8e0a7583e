//! The operator's commands: replay, sweep, webhooks, check.
#![cfg(feature = "sandbox")]

mod clock;
mod registering;

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::support::database::TestDatabase;
use crate::support::service::{Service, Stage, calls, options, settings, show};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio::process::Command;

/// Runs the binary with only these settings in its environment.
async fn relaykeeper(
    vendors: &SimulatedVendors,
    database: &TestDatabase,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    run(command, vendors, database, arguments, more).await
}

async fn relaykeeper_on_a_full_disk(
    vendors: &SimulatedVendors,
    database: &TestDatabase,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_relaykeeper"));
    run(shell, vendors, database, arguments, more).await
}

async fn run(
    mut command: Command,
    vendors: &SimulatedVendors,
    database: &TestDatabase,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    command
        .args(arguments)
        .env_clear()
        .current_dir(folder.path())
        .env("DATABASE_URL", &database.url)
        .env("RELAYKEEPER__RELAY__DEPLOYMENT", "tests")
        .env("RELAYKEEPER__JANITOR__GRACE", "1ms")
        .envs(vendors.environment())
        // `webhooks register` learns these.
        .env_remove("CLOUDFLARE_LIVE_WEBHOOK_SECRET")
        .env_remove("CLOUDFLARE_STREAM_WEBHOOK_SECRET")
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
        "ingest_ready",
        "egress_accepted",
        "live",
        "ending",
        "ended",
        "close_ingest",
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

async fn make_ingest(vendors: &SimulatedVendors, name: &str, tag: &str) {
    let path = format!(
        "{}/accounts/{}/stream/live_inputs",
        vendors.cloudflare_api_base_url(),
        vendors.account_id()
    );
    let made = reqwest::Client::new()
        .request(Method::POST, path)
        .bearer_auth(vendors.cloudflare_api_token())
        .json(&json!({ "meta": { "name": name, "relaykeeper": tag } }))
        .send()
        .await
        .expect("made");
    assert!(made.status().is_success());
}

#[tokio::test]
async fn an_orphan_that_cannot_be_deleted_does_not_hold_up_the_others() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let (_, relay) = stage.service.start_channel(7, &show("held")).await;
    stage.service.in_phase(&relay, "live").await;
    let inputs = stage.vendors.state().live_inputs;
    let tag = inputs[0].meta["relaykeeper"].as_str().expect("a tag");
    let own: Vec<&str> = tag.split('_').collect();
    for _ in 0..3 {
        let relay = uuid::Uuid::new_v4().simple();
        let orphan = format!("{}_{}_{relay}_1", own[0], own[1]);
        make_ingest(&stage.vendors, "orphan", &orphan).await;
    }
    let left = || {
        let inputs = stage.vendors.state().live_inputs;
        inputs.iter().filter(|input| !input.deleted).count()
    };
    stage.vendors.fault(VendorFault {
        call: VendorCall::LiveInputDelete,
        kind: FaultKind::Status(500, None),
        times: Some(1),
        after: 0,
    });
    let sweep = relaykeeper(&stage.vendors, &stage.database, &["sweep"], &[]).await;
    assert!(!sweep.status.success(), "{}", out(&sweep));
    assert_eq!(
        left(),
        2,
        "the live relay's own, and the one whose deletion failed"
    );
    let sweep = relaykeeper(&stage.vendors, &stage.database, &["sweep"], &[]).await;
    assert!(sweep.status.success() && left() == 1, "{}", out(&sweep));
}

#[tokio::test]
async fn an_orphan_is_swept_and_a_foreign_object_is_left_alone() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let (_, relay) = stage.service.start_channel(7, &show("swept")).await;
    let relay = stage.service.in_phase(&relay, "live").await;
    let live = relay["stream_key_id"]
        .as_str()
        .expect("an ingest")
        .to_owned();
    let marked = stage.vendors.state().live_inputs;
    let tag = marked
        .iter()
        .find(|input| input.uid == live)
        .expect("ours")
        .meta["relaykeeper"]
        .clone();
    let mut parts: Vec<&str> = tag.as_str().expect("a tag").split('_').collect();
    let (own, foreign) = (parts.clone(), "ffffffff");
    let orphan = format!("{}_{}_{}_1", own[0], own[1], uuid::Uuid::new_v4().simple());
    parts[1] = foreign;
    let others = parts.join("_");
    for (uid_of, tag) in [("orphan", &orphan), ("others", &others)] {
        make_ingest(&stage.vendors, uid_of, tag).await;
    }
    let left = |vendors: &SimulatedVendors| -> Vec<Value> {
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
    assert_eq!(left(&stage.vendors), [tag], "the live relay's own stays");
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

async fn without_webhook_secrets() -> Stage {
    Stage::with(AgoraBackend::CloudRecording, options(), |settings| {
        settings.cloudflare.live_webhook_secret = "".into();
        settings.cloudflare.stream_webhook_secret = "".into();
        settings.agora.webhook_secrets.clear();
    })
    .await
}

#[tokio::test]
async fn webhooks_are_registered_on_a_running_service_and_their_secrets_go_to_a_file_and_nowhere_else()
 {
    let Stage {
        vendors,
        service,
        database,
    } = without_webhook_secrets().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secrets.env");
    let path = file.to_str().expect("a path");
    let public = [("RELAYKEEPER__SERVER__PUBLIC_URL", service.url.as_str())];
    let output = relaykeeper(&vendors, &database, &["webhooks", "status"], &public).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("not set"), "{}", out(&output));

    let register = ["webhooks", "register", "--secrets-file", path];
    let output = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(output.status.success(), "{}", out(&output));
    let written = std::fs::read_to_string(&file).expect("the file");
    let mode = std::fs::metadata(&file).expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = |name: &str| {
        let mut lines = written.lines();
        let secret = lines
            .find_map(|line| line.strip_prefix(name))
            .expect("a line");
        assert!(secret.len() >= 32 && !out(&output).contains(secret));
        secret.to_owned()
    };
    let live = secret("CLOUDFLARE_LIVE_WEBHOOK_SECRET=");
    let stream = secret("CLOUDFLARE_STREAM_WEBHOOK_SECRET=");
    let status = relaykeeper(&vendors, &database, &["webhooks", "status"], &public).await;
    assert!(status.status.success(), "{}", out(&status));

    // A second run changes nothing.
    let again = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(again.status.success(), "{}", out(&again));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), written);
    for call in [
        VendorCall::DestinationCreate,
        VendorCall::PolicyCreate,
        VendorCall::WebhookPut,
    ] {
        assert_eq!(calls(&vendors, call).len(), 1, "{call}");
    }

    // Restarted with the file's secrets, the service accepts what was registered.
    service.shut_down();
    let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
    settings.cloudflare.live_webhook_secret = live.clone().into();
    settings.cloudflare.stream_webhook_secret = stream.into();
    let service = Service::start(settings).await;
    let notify = |secret: &str| {
        let body = json!({"data": {"input_id": "x", "event_type": "live_input.disconnected"}});
        let url = format!("{}/webhooks/cloudflare/live", service.url);
        let request = reqwest::Client::new().post(url).json(&body);
        request.header("cf-webhook-auth", secret.to_owned()).send()
    };
    assert_eq!(notify(&live).await.expect("an answer").status(), 200);
    assert_eq!(notify("another").await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn check_finds_a_customer_host_that_contradicts_cloudflares_own_answers() {
    const HOST: &str = "https://customer-f33zs165nr7gyfy4.cloudflarestream.com";
    let named = relaykeeper::sandbox::Options {
        customer_host_in_answers: Some(HOST.to_owned()),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::MediaPush, named, |_| {}).await;
    let (vendors, database) = (&stage.vendors, &stage.database);
    let account = format!(
        "https://customer-{}.cloudflarestream.com",
        vendors.account_id()
    );
    let customer_host = async |host: &str| {
        let more = [
            ("CLOUDFLARE_STREAM_CUSTOMER_BASE_URL", host),
            ("AGORA_BACKEND", "media_push"),
        ];
        let said = out(&relaykeeper(vendors, database, &["check"], &more).await);
        let lines = said.lines().filter(|line| line.contains("customer host"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let said = customer_host(&account).await;
    assert!(
        said.starts_with("WRONG") && said.contains("account id"),
        "{said}"
    );
    // From now on there is a video; its URLs name the host.
    stage.service.go_live(7, &show("show7")).await;
    stage.service.come_down(7).await;
    for wrong in [&account, "https://customer-another.cloudflarestream.com"] {
        let said = customer_host(wrong).await;
        assert!(said.starts_with("WRONG") && said.contains(HOST), "{said}");
    }
    for right in [
        HOST,
        &vendors.customer_base_url(),
        "https://video.shop.example",
    ] {
        assert_eq!(customer_host(right).await, "", "{right}");
    }
}

#[tokio::test]
async fn a_vendors_test_message_is_answered_200_before_its_secret_is_known_and_nothing_else_is() {
    let stage = without_webhook_secrets().await;
    let test =
        json!({"text": "Hello World! This is a test message sent from https://cloudflare.com."});
    let mut event = test.clone();
    event["data"] = json!({"input_id": "x", "event_type": "live_input.connected"});
    let agora = |channel: &str| {
        json!({"noticeId": "n", "productId": 1, "eventType": 103, "notifyMs": 1,
            "payload": {"channelName": channel, "uid": 12_121_212, "clientSeq": 1}})
    };
    let post = async |service: &str, path: &str, body: &Value| {
        let url = format!("{service}/webhooks/{path}");
        let request = reqwest::Client::new().post(url).json(body);
        let request = request
            .header("cf-webhook-auth", "new")
            .header("Agora-Signature-V2", "new");
        request.send().await.expect("an answer").status().as_u16()
    };
    let configured = Stage::new(AgoraBackend::CloudRecording).await;
    for (stage, refused) in [(&stage, 404), (&configured, 401)] {
        let at = stage.service.url.as_str();
        assert_eq!(post(at, "cloudflare/live", &test).await, 200);
        assert_eq!(post(at, "cloudflare/live", &event).await, refused);
        assert_eq!(post(at, "cloudflare/stream", &test).await, refused);
        assert_eq!(post(at, "agora", &agora("test_webhook")).await, 200);
        assert_eq!(post(at, "agora", &agora("show68")).await, refused);
    }
}

#[tokio::test]
async fn check_finds_a_damaged_database_and_one_that_others_may_read() {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let check = async || out(&relaykeeper(&vendors, &database, &["check"], &[]).await);
    relaykeeper(&vendors, &database, &["migrate", "up"], &[]).await;
    let said = check().await;
    assert!(said.contains("ok       database"), "{said}");
    assert!(!said.contains("chmod"), "{said}");

    let file = database.url.trim_start_matches("sqlite://");
    let file = file.split('?').next().unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = check().await;
    assert!(said.contains("chmod 600"), "{said}");

    // Only the last page: the first one identifies the file.
    let mut bytes = std::fs::read(file).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xff);
    std::fs::write(file, bytes).unwrap();
    let said = check().await;
    assert!(said.contains("WRONG    database: it"), "{said}");
}
