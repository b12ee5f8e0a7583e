//! Checks every call and notification of a relay against the vendors' schemas.

use std::collections::BTreeSet;
use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Options, SimulatedVendors, WebhookUrls};
use rstest::rstest;
use serde_json::Value;

use super::schemas::{Document, agora, cloudflare, faults, fixture, like, violations};
use super::tap::{Exchange, Tap};
use crate::support::database::TestDatabase;
use crate::support::service::{Service, options, settings, show, vendors_when};

/// The exchanges of one relay, whose egress is replaced.
struct Life {
    agora: Vec<Exchange>,
    cloudflare: Vec<Exchange>,
    notices: Vec<Exchange>,
}

impl Life {
    async fn of(backend: AgoraBackend, options: Options) -> Self {
        let vendors = SimulatedVendors::start(options).unwrap();
        let agora = Tap::on(&vendors.agora_base_url());
        let cloudflare = vendors.cloudflare_api_base_url();
        let cloudflare = Tap::on(cloudflare.trim_end_matches("/client/v4"));
        let database = TestDatabase::sqlite();
        let mut settings = settings(&vendors, backend, &database.url);
        settings.agora.api_base_url = agora.url();
        settings.agora.fallback_base_urls.clear();
        settings.cloudflare.api_base_url = format!("{}/client/v4", cloudflare.url());
        settings.relay.feed_timeout = Duration::from_secs(40);
        let service = Service::start(settings).await;
        let notices = Tap::on(&service.url);
        let at = |path: &str| Some(format!("{}/webhooks/{path}", notices.url()));
        vendors.set_webhooks(WebhookUrls {
            cloudflare_live: at("cloudflare/live"),
            cloudflare_stream: at("cloudflare/stream"),
            agora: at("agora"),
            ..WebhookUrls::default()
        });
        let relay = service.go_live(42, &show("show68")).await;
        vendors.set_seller("show68", Some(12345), false);
        vendors.set_seller("show68", Some(12345), true);
        vendors.switch_role("show68", 12345, false);
        vendors.switch_role("show68", 12345, true);
        let publisher = vendors_when(&vendors, "an egress that publishes", |vendors| {
            let mut egresses = vendors.state().egresses.into_iter();
            egresses
                .find(|egress| egress.publishing)
                .map(|egress| egress.id)
        })
        .await;
        assert!(vendors.kill(&publisher, None));
        service.in_phase(&relay, "interrupted").await;
        service.in_phase(&relay, "live").await;
        let relay = service.come_down(42).await;
        assert_eq!(
            relay["recordings"].as_array().map(Vec::len),
            Some(1),
            "{relay:#}"
        );
        service.shut_down();
        Self {
            agora: agora.exchanges(),
            cloudflare: cloudflare.exchanges(),
            notices: notices.exchanges(),
        }
    }
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn every_call_answer_and_notification_of_a_relay_matches_the_vendors_documents(
    #[case] backend: AgoraBackend,
) {
    let options = Options {
        converter_state_in_answers: false,
        ..options()
    };
    let life = Life::of(backend, options).await;
    let mut found = Vec::new();
    for (documents, exchanges) in [(agora(), &life.agora), (cloudflare(), &life.cloudflare)] {
        assert!(!exchanges.is_empty());
        found.extend(
            exchanges
                .iter()
                .flat_map(|exchange| violations(&documents, exchange)),
        );
    }
    let examples = Notices::new();
    let notified: BTreeSet<String> = life
        .notices
        .iter()
        .map(|notice| examples.name(notice))
        .collect();
    found.extend(
        life.notices
            .iter()
            .flat_map(|notice| examples.violations(notice)),
    );
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    let expected: &[&str] = match backend {
        AgoraBackend::CloudRecording => &[
            "1/103", "1/104", "1/111", "1/112", "3/11", "3/70", "3/71", "3/100",
        ],
        AgoraBackend::MediaPush => &["1/103", "1/104", "1/111", "1/112", "5/1", "5/3", "5/4"],
    };
    for name in expected.iter().copied().chain(["live", "stream"]) {
        assert!(notified.contains(name), "{name} of {notified:?}");
    }
}

struct Notices {
    agora: Value,
    cloudflare: Value,
    videos: Vec<Document>,
}

impl Notices {
    fn new() -> Self {
        Self {
            agora: fixture("agora-ncs-examples.json"),
            cloudflare: fixture("cloudflare-webhook-examples.json"),
            videos: cloudflare(),
        }
    }

    /// `product/event` for Agora.
    fn name(&self, notice: &Exchange) -> String {
        let body = notice.sent().unwrap();
        match notice.path.rsplit('/').next().unwrap() {
            "agora" => format!("{}/{}", body["productId"], body["eventType"]),
            other => other.to_owned(),
        }
    }

    fn violations(&self, notice: &Exchange) -> Vec<String> {
        let body = notice.sent().unwrap();
        let mut found = match self.name(notice).as_str() {
            "live" => faults(
                &like(
                    &self.cloudflare["live"]["live_input.disconnected"],
                    &[],
                    &[],
                ),
                &body,
            ),
            "stream" => self.videos[0].faults_of("video", &body),
            _ => faults(&self.of_agora(&body), &body),
        };
        if notice.path.ends_with("/agora") {
            for (name, length) in [("agora-signature", 40), ("agora-signature-v2", 64)] {
                if notice.header(name).map(str::len) != Some(length) {
                    found.push(format!("{name} is missing"));
                }
            }
        }
        if notice.status != 200 {
            found.push(format!("answered {}", notice.status));
        }
        found
            .into_iter()
            .map(|fault| format!("{fault}\n{body}"))
            .collect()
    }

    fn of_agora(&self, body: &Value) -> Value {
        let all = &self.agora;
        let events = match body["productId"].as_u64() {
            Some(1) => &all["rtc"],
            Some(3) => &all["cloud_recording"],
            Some(5) => &all["media_push"],
            other => panic!("product {other:?}"),
        };
        let mut events = events.as_array().unwrap().iter();
        let example = events.find(|event| event["eventType"] == body["eventType"]);
        let example = example.unwrap_or_else(|| panic!("no example of {body:#}"));
        let mut whole = all["envelope_example"].clone();
        whole["payload"] = example.get("payload").cloned().unwrap_or_else(|| {
            let mut payload = all["cloud_recording_payload"].clone();
            payload["details"] = example["details"].clone();
            payload
        });
        // `account` belongs to string accounts; a converter's options are in the schema of its answers.
        let mut schema = like(&whole, &["account"], &["transcodeOptions", "rawOptions"]);
        if let Some(service) = example.get("serviceType") {
            schema["properties"]["payload"]["properties"]["serviceType"]["const"] = service.clone();
        }
        schema
    }
}
