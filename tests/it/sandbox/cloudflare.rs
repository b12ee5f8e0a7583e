//! The simulated Cloudflare API.

use std::time::Duration;

use relaykeeper::sandbox::{Options, Quotas};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::support::*;

#[tokio::test]
async fn a_live_input_is_complete_when_read_alone_and_has_no_credentials_in_a_list() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    assert!(rtmp.starts_with("rtmps://live.cloudflare.com:443/live/") && rtmp.ends_with(&uid));
    let (_, one) = send(sandbox.cloudflare(Method::GET, &format!("/live_inputs/{uid}"))).await;
    assert_eq!(
        one["result"]["recording"],
        json!({"mode": "automatic", "timeoutSeconds": 20, "requireSignedURLs": false, "allowedOrigins": null, "hideLiveViewerCount": false})
    );
    assert!(one["result"]["status"].is_null() && one["result"].get("preferLowLatency").is_none());
    let (_, bare) = send(sandbox.cloudflare(Method::GET, "/live_inputs")).await;
    let item = &bare["result"][0];
    assert_eq!(item["uid"], json!(uid));
    assert!(
        item.get("rtmps").is_none()
            && item.get("status").is_none()
            && item.get("recording").is_none()
    );
    let (_, counted) =
        send(sandbox.cloudflare(Method::GET, "/live_inputs?include_counts=true")).await;
    assert_eq!(counted["result"]["total"], 1);
    assert_eq!(counted["result"]["liveInputs"][0]["uid"], json!(uid));
}

#[tokio::test]
async fn invalid_settings_are_dropped_or_refused_as_by_cloudflare() {
    let sandbox = Sandbox::start(fast());
    let create = |body: Value| send(sandbox.cloudflare(Method::POST, "/live_inputs").json(&body));
    let (status, body) = create(json!({"deleteRecordingAfterDays": 7})).await;
    assert_eq!((status, &body["errors"][0]["code"]), (400, &json!(10060)));
    let (_, body) = create(
        json!({"unknown": 1, "recording": {"timeoutSeconds": 0, "deleteRecordingAfterDays": 30}}),
    )
    .await;
    assert!(
        body["result"]["deleteRecordingAfterDays"].is_null()
            && body["result"]["recording"]["timeoutSeconds"].is_null()
    );
    assert_eq!(body["result"]["recording"]["mode"], "off");
    assert_eq!(
        create(json!({"recording": {"mode": "always"}})).await.0,
        400
    );
    assert_eq!(
        create(json!({"deleteRecordingAfterDays": 30})).await.1["result"]["deleteRecordingAfterDays"],
        30
    );
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_input_until_it_is_deleted() {
    let sandbox = Sandbox::start(fast());
    let create = || {
        send(
            sandbox
                .cloudflare(Method::POST, "/live_inputs")
                .header("Idempotency-Key", "mark")
                .json(&json!({})),
        )
    };
    let (_, first) = create().await;
    let (_, second) = create().await;
    assert_eq!(first["result"]["uid"], second["result"]["uid"]);
    assert_eq!(sandbox.vendors.state().live_inputs.len(), 1);
    let path = format!("/live_inputs/{}", first["result"]["uid"].as_str().unwrap());
    let deleted = sandbox
        .cloudflare(Method::DELETE, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            deleted.status().as_u16(),
            deleted.bytes().await.unwrap().len()
        ),
        (200, 0)
    );
    assert_eq!(create().await.0, 409);
    let (status, body) = send(sandbox.cloudflare(Method::DELETE, &path)).await;
    assert_eq!((status, &body["errors"][0]["code"]), (404, &json!(10003)));
    let long = "x".repeat(256);
    assert_eq!(
        send(
            sandbox
                .cloudflare(Method::POST, "/live_inputs")
                .header("Idempotency-Key", long)
        )
        .await
        .0,
        400
    );
}

#[tokio::test]
async fn an_unauthorized_caller_is_refused_in_cloudflares_envelope() {
    let sandbox = Sandbox::start(fast());
    let base = sandbox.vendors.cloudflare_api_base_url();
    let account = sandbox.vendors.account_id();
    let ask = |url: String, header: Option<String>| {
        let request = sandbox.http.get(url);
        send(match header {
            Some(header) => request.header("Authorization", header),
            None => request,
        })
    };
    let inputs = format!("{base}/accounts/{account}/stream/live_inputs");
    let code = |(status, body): (u16, Value)| (status, body["errors"][0]["code"].as_u64().unwrap());
    assert_eq!(code(ask(inputs.clone(), None).await), (401, 10000));
    assert_eq!(
        code(ask(inputs.clone(), Some("Basic eA==".to_owned())).await),
        (400, 6003)
    );
    assert_eq!(
        code(ask(inputs, Some("Bearer wrong".to_owned())).await),
        (403, 10000)
    );
    let good = Some(format!("Bearer {}", sandbox.vendors.cloudflare_api_token()));
    assert_eq!(
        code(
            ask(
                format!("{base}/accounts/other/stream/live_inputs"),
                good.clone()
            )
            .await
        ),
        (404, 7003)
    );
    let (status, body) = ask(format!("{base}/user/tokens/verify"), good.clone()).await;
    assert_eq!(
        (
            status,
            &body["result"]["status"],
            &body["messages"][0]["code"]
        ),
        (200, &json!("active"), &json!(10000))
    );
    assert_eq!(
        code(ask(format!("{base}/accounts/{account}/tokens/verify"), good).await),
        (401, 1000)
    );
}

#[tokio::test]
async fn past_the_quota_everything_is_blocked_and_the_headers_say_for_how_long() {
    let quotas = Quotas {
        cloudflare_requests: 3,
        cloudflare_window: Duration::from_secs(20),
        ..Quotas::default()
    };
    let sandbox = Sandbox::start(Options { quotas, ..fast() });
    let poll = || async {
        sandbox
            .cloudflare(Method::GET, "/live_inputs")
            .send()
            .await
            .unwrap()
    };
    let header =
        |response: &Response, name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let first = poll().await;
    assert!(
        header(&first, "ratelimit").starts_with("\"default\";r=2;t="),
        "{}",
        header(&first, "ratelimit")
    );
    assert_eq!(header(&first, "ratelimit-policy"), "\"default\";q=3;w=1");
    assert!(!header(&first, "cf-ray").is_empty());
    poll().await;
    poll().await;
    let blocked = poll().await;
    assert_eq!(
        (blocked.status().as_u16(), header(&blocked, "retry-after")),
        (429, "1".to_owned())
    );
    assert!(header(&blocked, "ratelimit").starts_with("\"default\";r=0;"));
    assert_eq!(poll().await.status().as_u16(), 429);
    assert_eq!(sandbox.violations(), ["quota_passed"]);
    until("the block is over", || async {
        poll().await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn the_stream_webhook_is_not_found_until_it_is_set() {
    let sandbox = Sandbox::start(fast());
    let (status, body) = send(sandbox.cloudflare(Method::GET, "/webhook")).await;
    assert_eq!((status, &body["errors"][0]["code"]), (404, &json!(10003)));
    let put = sandbox
        .cloudflare(Method::PUT, "/webhook")
        .json(&json!({"notificationUrl": "http://127.0.0.1:9/x"}));
    assert_eq!(
        send(put).await.1["result"]["secret"],
        sandbox.vendors.stream_webhook_secret()
    );
    assert_eq!(
        send(sandbox.cloudflare(Method::GET, "/webhook")).await.0,
        200
    );
    assert_eq!(
        send(sandbox.cloudflare(Method::DELETE, "/webhook")).await.0,
        200
    );
    assert_eq!(
        send(sandbox.cloudflare(Method::GET, "/webhook")).await.0,
        404
    );
}
