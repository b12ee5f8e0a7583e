//! `webhooks register`: existing webhooks, failed runs, unknown secrets.

use std::path::{Path, PathBuf};

use relaykeeper::sandbox::StreamSecret;

use super::*;

const OTHER: &str = "https://other.example.com/stream";

struct Registering {
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Registering {
    async fn new(stream_secret: StreamSecret) -> Self {
        let options = relaykeeper::sandbox::Options {
            stream_secret,
            ..options()
        };
        let stage = Stage::with(AgoraBackend::CloudRecording, options, |settings| {
            settings.cloudflare.live_webhook_secret = "".into();
            settings.cloudflare.stream_webhook_secret = "".into();
        })
        .await;
        let folder = tempfile::tempdir().expect("a folder");
        Self { stage, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("secrets.env")
    }

    fn written(&self) -> String {
        std::fs::read_to_string(self.file()).expect("the file")
    }

    async fn run(&self, more: &[&str]) -> Output {
        self.run_into(&self.file(), more).await
    }

    async fn run_without_room(&self) -> Output {
        let file = self.file();
        let file = file.to_str().expect("a path");
        let arguments = ["webhooks", "register", "--secrets-file", file];
        let Stage {
            vendors, database, ..
        } = &self.stage;
        relaykeeper_on_a_full_disk(vendors, database, &arguments, &self.public()).await
    }

    async fn run_into(&self, file: &Path, more: &[&str]) -> Output {
        let file = file.to_str().expect("a path");
        let mut arguments = vec!["webhooks", "register", "--secrets-file", file];
        arguments.extend(more);
        let Stage {
            vendors, database, ..
        } = &self.stage;
        relaykeeper(vendors, database, &arguments, &self.public()).await
    }

    fn public(&self) -> [(&str, &str); 1] {
        let url = self.stage.service.url.as_str();
        [("RELAYKEEPER__SERVER__PUBLIC_URL", url)]
    }

    /// Calls Cloudflare's API as its dashboard does.
    async fn cloudflare(&self, method: Method, path: &str, body: Value) -> Value {
        let vendors = &self.stage.vendors;
        let (base, account) = (vendors.cloudflare_api_base_url(), vendors.account_id());
        let url = format!("{base}/accounts/{account}/{path}");
        let request = reqwest::Client::new().request(method, url).json(&body);
        let answer = request.bearer_auth(vendors.cloudflare_api_token()).send();
        answer.await.expect("it").json().await.expect("JSON")
    }

    async fn stream_url(&self) -> Value {
        let answer = self
            .cloudflare(Method::GET, "stream/webhook", Value::Null)
            .await;
        answer["result"]["notificationUrl"].clone()
    }

    async fn state(&self) -> [Value; 2] {
        alerting(&self.stage.vendors).await
    }
}

async fn alerting(vendors: &SimulatedVendors) -> [Value; 2] {
    let (base, account) = (vendors.cloudflare_api_base_url(), vendors.account_id());
    let list = async |what: &str| {
        let url = format!("{base}/accounts/{account}/alerting/v3/{what}");
        let request = reqwest::Client::new().get(url);
        let answer = request.bearer_auth(vendors.cloudflare_api_token()).send();
        let body: Value = answer.await.expect("it").json().await.expect("JSON");
        body["result"].clone()
    };
    [list("destinations/webhooks").await, list("policies").await]
}

#[tokio::test]
async fn webhooks_that_cannot_be_registered_leave_nothing_behind_and_the_next_run_succeeds() {
    let Stage {
        vendors,
        service,
        database,
    } = without_webhook_secrets().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secrets.env");
    let path = file.to_str().expect("a path");
    let register = ["webhooks", "register", "--secrets-file", path];
    let nothing_is_left = async || {
        let state = alerting(&vendors).await;
        assert_eq!(state, [json!([]), json!([])], "destinations and policies");
        let left = std::fs::read_dir(folder.path()).expect("the folder");
        assert_eq!(left.count(), 0);
    };

    // Cloudflare refuses a destination that does not answer.
    let nowhere = [("RELAYKEEPER__SERVER__PUBLIC_URL", "http://127.0.0.1:9")];
    let output = relaykeeper(&vendors, &database, &register, &nowhere).await;
    assert!(!output.status.success());
    assert!(
        out(&output).contains("server.public_url"),
        "{}",
        out(&output)
    );
    nothing_is_left().await;
    let public = [("RELAYKEEPER__SERVER__PUBLIC_URL", service.url.as_str())];
    for (call, kind) in [
        (VendorCall::DestinationCreate, FaultKind::CutAfter),
        (VendorCall::PolicyCreate, FaultKind::Status(500, None)),
        (VendorCall::PolicyCreate, FaultKind::CutAfter),
        (VendorCall::WebhookPut, FaultKind::Status(500, None)),
        (VendorCall::WebhookPut, FaultKind::CutAfter),
        (VendorCall::WebhookPut, FaultKind::NotJson),
    ] {
        vendors.fault(VendorFault::once(call, kind.clone()));
        let output = relaykeeper(&vendors, &database, &register, &public).await;
        assert!(!output.status.success(), "{call} {kind:?}");
        nothing_is_left().await;
    }
    let output = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(output.status.success(), "{}", out(&output));

    let other = [("RELAYKEEPER__SERVER__PUBLIC_URL", "http://127.0.0.1:10")];
    let output = relaykeeper(&vendors, &database, &register, &other).await;
    assert!(
        !output.status.success() && out(&output).contains("--replace"),
        "{}",
        out(&output)
    );
    std::fs::write(&file, "PATH=/bin\n").expect("written");
    let output = relaykeeper(&vendors, &database, &register, &public).await;
    assert!(
        !output.status.success() && out(&output).contains("contains more than the secrets"),
        "a file that is not ours stays: {}",
        out(&output)
    );
}

#[tokio::test]
async fn a_stream_webhook_that_was_replaced_is_restored_when_the_run_fails() {
    let at = Registering::new(StreamSecret::Shown).await;
    let set = json!({ "notificationUrl": OTHER });
    at.cloudflare(Method::PUT, "stream/webhook", set).await;
    for kind in [FaultKind::NotJson, FaultKind::CutAfter] {
        let vendors = &at.stage.vendors;
        vendors.fault(VendorFault::once(VendorCall::WebhookPut, kind.clone()));
        let output = at.run(&["--replace"]).await;
        assert!(!output.status.success(), "{kind:?}: {}", out(&output));
        assert_eq!(at.stream_url().await, OTHER, "{kind:?}");
        assert_eq!(at.state().await, [json!([]), json!([])], "{kind:?}");
        let left = std::fs::read_dir(at.folder.path()).expect("the folder");
        assert_eq!(left.count(), 0, "{kind:?}");
    }
    let output = at.run(&["--replace"]).await;
    assert!(output.status.success(), "{}", out(&output));
    assert_ne!(at.stream_url().await, OTHER);
}

#[tokio::test]
async fn a_policy_for_an_existing_destination_is_removed_when_the_run_fails() {
    let at = Registering::new(StreamSecret::Shown).await;
    let output = at.run(&[]).await;
    assert!(output.status.success(), "{}", out(&output));
    let written = at.written();
    let [destinations, policies] = at.state().await;
    let policy = policies[0]["id"].as_str().expect("an id");
    let path = format!("alerting/v3/policies/{policy}");
    at.cloudflare(Method::DELETE, &path, Value::Null).await;
    at.cloudflare(Method::DELETE, "stream/webhook", Value::Null)
        .await;

    let vendors = &at.stage.vendors;
    vendors.fault(VendorFault::once(
        VendorCall::WebhookPut,
        FaultKind::Status(500, None),
    ));
    let output = at.run(&[]).await;
    assert!(!output.status.success(), "{}", out(&output));
    assert_eq!(at.state().await, [destinations, json!([])]);
    assert_eq!(at.written(), written);
}

#[tokio::test]
async fn a_stream_secret_that_the_answer_lacks_is_read_or_reported_missing() {
    let at = Registering::new(StreamSecret::OnlyRead).await;
    let output = at.run(&[]).await;
    assert!(output.status.success(), "{}", out(&output));
    assert!(at.written().contains("CLOUDFLARE_STREAM_WEBHOOK_SECRET="));

    let at = Registering::new(StreamSecret::Hidden).await;
    for _ in 0..2 {
        let output = at.run(&[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        assert!(
            out(&output).contains("does not show its secret"),
            "{}",
            out(&output)
        );
        let written = at.written();
        assert!(
            written.contains("CLOUDFLARE_LIVE_WEBHOOK_SECRET=") && !written.contains("STREAM"),
            "the live part stays"
        );
        let [destinations, policies] = at.state().await;
        assert_eq!(destinations.as_array().map(Vec::len), Some(1));
        assert_eq!(policies.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_destination_whose_secret_is_lost_is_reported_and_replaced_on_request() {
    let at = Registering::new(StreamSecret::Shown).await;
    let output = at.run(&[]).await;
    assert!(output.status.success(), "{}", out(&output));
    let before = at.state().await;
    let lost = at.written();
    std::fs::remove_file(at.file()).expect("removed");

    let output = at.run(&[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).contains("--replace"), "{}", out(&output));
    assert_eq!(at.state().await, before);
    assert!(!at.file().exists());

    let output = at.run(&["--replace"]).await;
    assert!(output.status.success(), "{}", out(&output));
    let [destinations, policies] = at.state().await;
    assert_eq!(destinations.as_array().map(Vec::len), Some(1));
    assert_eq!(policies.as_array().map(Vec::len), Some(1));
    assert_ne!(destinations, before[0]);
    let live = |text: &str| text.lines().next().expect("a line").to_owned();
    assert_ne!(live(&at.written()), live(&lost));
}

#[tokio::test]
async fn a_secrets_file_that_cannot_be_written_leaves_no_draft() {
    let at = Registering::new(StreamSecret::Shown).await;
    let output = at.run_without_room().await;
    assert!(!output.status.success(), "{}", out(&output));
    assert!(
        out(&output).contains("cannot be written"),
        "{}",
        out(&output)
    );
    let left = std::fs::read_dir(at.folder.path()).expect("the folder");
    assert_eq!(left.count(), 0);
    assert_eq!(at.state().await, [json!([]), json!([])]);
    assert_eq!(at.stream_url().await, Value::Null);

    let file = at.file();
    std::fs::create_dir(&file).expect("a folder in its place");
    let output = at.run_into(&file, &[]).await;
    assert!(!output.status.success(), "{}", out(&output));
    assert!(out(&output).contains("is a folder"), "{}", out(&output));
    let left = std::fs::read_dir(at.folder.path()).expect("the folder");
    assert_eq!(left.count(), 1, "the folder alone");
    assert_eq!(at.state().await, [json!([]), json!([])]);
    assert_eq!(at.stream_url().await, Value::Null);
}
