//! The vendors' webhooks; starting and stopping the vendors.

use relaykeeper::sandbox::{Options, SimulatedVendors, WebhookUrls};
use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::*;

#[tokio::test]
async fn webhooks_are_signed_and_sent_twice_if_asked() {
    let receiver = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&receiver)
        .await;
    let url = |path: &str| Some(format!("{}{path}", receiver.uri()));
    let webhooks = WebhookUrls {
        cloudflare_live: url("/live"),
        cloudflare_stream: url("/stream"),
        agora: url("/agora"),
        mux: None,
        ivs: None,
        duplicates: true,
        reordered: true,
    };
    let sandbox = Sandbox::start(Options { webhooks, ..fast() });
    let (uid, rtmp) = sandbox.live_input().await;
    sandbox.create_converter("n", &rtmp).await;
    sandbox.until_live(&uid).await;
    sandbox.vendors.set_seller("show68", Some(7), false);
    send(sandbox.cloudflare(Method::DELETE, &format!("/live_inputs/{uid}"))).await;
    let came = |path: &'static str| {
        let receiver = &receiver;
        async move {
            receiver
                .received_requests()
                .await
                .unwrap()
                .into_iter()
                .filter(|request| request.url.path() == path)
                .collect::<Vec<_>>()
        }
    };
    until("the video, twice", || async {
        came("/stream").await.len() == 2
    })
    .await;
    until(
        "the live input, connected and disconnected, each twice",
        || async { came("/live").await.len() == 4 },
    )
    .await;
    let live = &came("/live").await[0];
    assert_eq!(
        live.headers["cf-webhook-auth"].to_str().unwrap(),
        sandbox.vendors.live_webhook_secret()
    );
    let video: Value = came("/stream").await[0].body_json().unwrap();
    assert_eq!(
        (&video["liveInput"], &video["readyToStream"]),
        (&json!(uid), &json!(true))
    );
    assert!(
        came("/stream").await[0].headers["webhook-signature"]
            .to_str()
            .unwrap()
            .starts_with("time=")
    );
    until("the seller left, and the converter failed", || async {
        let events: Vec<(u64, u64)> = came("/agora")
            .await
            .iter()
            .map(|request| request.body_json::<Value>().unwrap())
            .map(|body| {
                (
                    body["productId"].as_u64().unwrap(),
                    body["eventType"].as_u64().unwrap(),
                )
            })
            .collect();
        [(1, 104), (5, 1), (5, 3)]
            .iter()
            .all(|event| events.contains(event))
    })
    .await;
    assert_eq!(
        came("/agora").await[0].headers["agora-signature-v2"].len(),
        64
    );
}

#[test]
fn the_vendors_run_without_a_runtime_and_stop_when_dropped() {
    let vendors = SimulatedVendors::start(Options::default()).unwrap();
    let address = vendors.control_url().replace("http://", "");
    assert!(std::net::TcpStream::connect(&address).is_ok());
    assert_eq!(
        (
            vendors.account_id().len(),
            vendors.cloudflare_api_token().len(),
            vendors.agora_app_id().len()
        ),
        (32, 40, 32)
    );
    assert!(vendors.state().calls.is_empty());
    drop(vendors);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

#[tokio::test]
async fn live_notifications_go_to_the_destinations_of_policies() {
    let receiver = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&receiver)
        .await;
    let sandbox = Sandbox::start(fast());
    let alerting = |path: &str, body: Value| {
        let base = sandbox.vendors.cloudflare_api_base_url();
        let url = format!(
            "{base}/accounts/{}/alerting/v3/{path}",
            sandbox.vendors.account_id()
        );
        send(
            sandbox
                .http
                .post(url)
                .bearer_auth(sandbox.vendors.cloudflare_api_token())
                .json(&body),
        )
    };
    // Cloudflare refuses a destination that does not answer the test message with 2xx.
    let refuses = MockServer::start().await;
    for dead in ["http://127.0.0.1:9", &refuses.uri()] {
        let destination = json!({"name": "us", "url": dead, "secret": "s3"});
        assert_eq!(alerting("destinations/webhooks", destination).await.0, 400);
    }
    let destination = json!({"name": "us", "url": receiver.uri(), "secret": "s3"});
    let (_, made) = alerting("destinations/webhooks", destination).await;
    let policy = |id: &Value| {
        json!({"name": "live", "enabled": true, "alert_type": "stream_live_notifications",
            "mechanisms": {"webhooks": [{"id": id}]}, "filters": {}})
    };
    assert_eq!(alerting("policies", policy(&json!("unknown"))).await.0, 400);
    assert_eq!(
        alerting("policies", policy(&made["result"]["id"])).await.0,
        200
    );
    let (uid, rtmp) = sandbox.live_input().await;
    sandbox.create_converter("n", &rtmp).await;
    until("the test message and the event", || async {
        receiver.received_requests().await.unwrap().len() == 2
    })
    .await;
    let events = receiver.received_requests().await.unwrap();
    assert!(
        events
            .iter()
            .all(|event| event.headers["cf-webhook-auth"] == "s3")
    );
    let message: Value = events[1].body_json().unwrap();
    assert_eq!(message["data"]["event_type"], "live_input.connected");
    assert_eq!(message["data"]["input_id"], json!(uid));
}
