//! The simulated Mux.

use std::time::{Duration, Instant};

use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors, WebhookUrls};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::fast;

const STREAMS: &str = "/video/v1/live-streams";

struct Mux {
    vendors: SimulatedVendors,
    http: reqwest::Client,
}

impl Mux {
    fn start(options: Options) -> Self {
        Self {
            vendors: SimulatedVendors::start(options).unwrap(),
            http: reqwest::Client::new(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.vendors.mux_api_base_url());
        let request = self.http.request(method, url);
        let (id, secret) = (self.vendors.mux_token_id(), self.vendors.mux_token_secret());
        let request = request.basic_auth(id, Some(secret));
        let request = match body.is_null() {
            true => request,
            false => request.json(&body),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn create(&self, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, STREAMS, body).await;
        assert_eq!(status, 201, "{answer}");
        answer["data"].clone()
    }

    async fn put(&self, stream: &Value, action: &str) -> u16 {
        let path = format!("{STREAMS}/{}/{action}", id(stream));
        self.call(Method::PUT, &path, Value::Null).await.0
    }

    async fn read(&self, stream: &Value) -> Value {
        let path = format!("{STREAMS}/{}", id(stream));
        self.call(Method::GET, &path, Value::Null).await.1["data"].clone()
    }

    async fn until(&self, stream: &Value, key: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let read = self.read(stream).await;
            if wanted(&read[key]) {
                return read;
            }
            assert!(Instant::now() < deadline, "{key}: {read:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn publish(&self, stream: &Value) -> Result<u64, &'static str> {
        let key = stream["stream_key"].as_str().unwrap();
        let url = format!("rtmps://global-live.mux.com:443/app/{key}");
        self.vendors.publish(&url, "encoder")
    }

    async fn manifest(&self, playback_id: &str) -> u16 {
        let url = format!(
            "{}/{playback_id}.m3u8",
            self.vendors.mux_playback_base_url()
        );
        self.http.get(url).send().await.unwrap().status().as_u16()
    }
}

fn id(stream: &Value) -> &str {
    stream["id"].as_str().unwrap()
}

fn unlimited() -> Options {
    Options {
        quotas: Quotas {
            mux_posts_per_second: 1000,
            mux_others_per_second: 1000,
            ..Quotas::default()
        },
        wire_speed: Some(50.0),
        ..fast()
    }
}

#[tokio::test]
async fn credentials_are_basic_and_refusals_are_in_muxs_form() {
    let mux = Mux::start(unlimited());
    let url = format!("{}{STREAMS}", mux.vendors.mux_api_base_url());
    let (token, secret) = (mux.vendors.mux_token_id(), mux.vendors.mux_token_secret());
    for request in [
        mux.http.get(&url),
        mux.http.get(&url).bearer_auth(secret),
        mux.http.get(&url).basic_auth(token, Some("wrong")),
        mux.http.get(&url).basic_auth(secret, Some(token)),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["type"], "unauthorized");
        assert!(body["error"]["messages"].is_array());
    }
    let (status, body) = mux
        .call(Method::GET, &format!("{STREAMS}/none"), Value::Null)
        .await;
    assert_eq!((status, &body["error"]["type"]), (404, &json!("not_found")));
    let (status, who) = mux
        .call(Method::GET, "/system/v1/whoami", Value::Null)
        .await;
    assert_eq!(
        (status, &who["data"]["environment_type"]),
        (200, &json!("development"))
    );
}

#[rstest]
#[case(json!({"reconnect_window": 1801}))]
#[case(json!({"reconnect_window": "60"}))]
#[case(json!({"max_continuous_duration": 59}))]
#[case(json!({"latency_mode": "ultra"}))]
#[case(json!({"playback_policies": "public"}))]
#[case(json!({"playback_policies": ["open"]}))]
#[case(json!({"playback_policies": ["public"], "playback_policy": ["public"]}))]
#[case(json!({"passthrough": "x".repeat(256)}))]
#[case(json!({"title": "show"}))]
#[case(json!({"new_asset_settings": {"passthrough": "x".repeat(256)}}))]
#[case(json!({"new_asset_settings": {"colour": "red"}}))]
#[case(json!({"meta": {"title": "x".repeat(513)}}))]
#[case(json!([]))]
#[tokio::test]
async fn a_creation_out_of_its_bounds_is_refused(#[case] body: Value) {
    let mux = Mux::start(unlimited());
    let (status, answer) = mux.call(Method::POST, STREAMS, body).await;
    assert_eq!(
        (status, &answer["error"]["type"]),
        (400, &json!("invalid_parameters"))
    );
    assert!(answer["error"]["messages"][0].is_string());
}

#[tokio::test]
async fn defaults_and_forms_are_as_documented() {
    let mux = Mux::start(unlimited());
    let plain = mux.create(json!({})).await;
    assert_eq!(
        plain["playback_ids"],
        json!([]),
        "without a policy buyers cannot watch it"
    );
    assert_eq!(
        (&plain["reconnect_window"], &plain["latency_mode"]),
        (&json!(60), &json!("standard"))
    );
    assert_eq!(plain["max_continuous_duration"], 43_200);
    assert_eq!(plain.get("passthrough"), None);
    assert_eq!(plain.get("active_asset_id"), None);
    assert!(plain["created_at"].as_str().unwrap().parse::<i64>().is_ok());
    let low = mux.create(json!({"latency_mode": "low"})).await;
    assert_eq!(low["reconnect_window"], 0);
    let (status, changed) = mux
        .call(
            Method::PATCH,
            &format!("{STREAMS}/{}", id(&low)),
            json!({"reconnect_window": 5, "passthrough": "p"}),
        )
        .await;
    assert_eq!(
        (status, &changed["data"]["reconnect_window"]),
        (200, &json!(5))
    );
    let path = format!("{STREAMS}/{}", id(&low));
    let (status, _) = mux
        .call(
            Method::PATCH,
            &path,
            json!({"playback_policies": ["public"]}),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn lists_have_pages_and_few_filters() {
    let mux = Mux::start(unlimited());
    let mut all = Vec::new();
    for number in 0..27 {
        all.push(
            mux.create(json!({"passthrough": format!("p{number}")}))
                .await,
        );
    }
    let list = async |query: &str| {
        let (status, body) = mux
            .call(Method::GET, &format!("{STREAMS}{query}"), Value::Null)
            .await;
        (status, body["data"].as_array().map_or(0, Vec::len), body)
    };
    let (_, count, body) = list("").await;
    assert_eq!(count, 25);
    assert_eq!(body["data"][0]["id"], all[26]["id"], "newest first");
    assert!(body["data"][0]["stream_key"].is_string());
    assert_eq!(list("?page=2").await.1, 2);
    assert_eq!(list("?limit=100").await.1, 27);
    let key = all[3]["stream_key"].as_str().unwrap();
    assert_eq!(list(&format!("?stream_key={key}")).await.1, 1);
    assert_eq!(list("?status=active").await.1, 0);
    for wrong in [
        "?limit=101",
        "?limit=0",
        "?page=0",
        "?status=live",
        "?passthrough=p1",
    ] {
        assert_eq!(list(wrong).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn each_kind_of_call_has_a_bucket_of_its_own() {
    let mux = Mux::start(Options {
        speed: 1.0,
        create_latency: Duration::ZERO,
        ..Options::default()
    });
    for _ in 0..4 {
        mux.create(json!({})).await;
    }
    let url = format!("{}{STREAMS}", mux.vendors.mux_api_base_url());
    let (token, secret) = (mux.vendors.mux_token_id(), mux.vendors.mux_token_secret());
    let post = mux.http.post(&url).basic_auth(token, Some(secret));
    let refused = post.json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, _) = mux.call(Method::GET, STREAMS, Value::Null).await;
    assert_eq!(status, 200);
    let violations = mux.vendors.state().violations;
    assert_eq!(violations[0].kind, "quota_passed");
}

#[tokio::test]
async fn a_broadcast_is_recorded_then_active_and_its_asset_is_ready_while_live() {
    let mux = Mux::start(Options {
        recording_ready_after: Duration::from_secs(60),
        ..unlimited()
    });
    let policies = json!(["public"]);
    let stream = mux
        .create(json!({"playback_policies": policies, "reconnect_window": 0,
            "new_asset_settings": {"playback_policies": policies, "passthrough": "p"}}))
        .await;
    let playback = stream["playback_ids"][0]["id"].as_str().unwrap();
    assert_eq!(mux.manifest(playback).await, 412);
    assert_eq!(mux.manifest("unknown").await, 404);
    let encoder = mux.publish(&stream).unwrap();
    mux.until(&stream, "status", |status| status == "active")
        .await;
    assert_eq!(mux.manifest(playback).await, 200);
    let live = mux
        .until(&stream, "active_asset_id", Value::is_string)
        .await;
    let asset = live["active_asset_id"].as_str().unwrap();
    assert_eq!(live["recent_asset_ids"], json!([asset]));
    let list = format!("/video/v1/assets?live_stream_id={}", id(&stream));
    let (_, assets) = mux.call(Method::GET, &list, Value::Null).await;
    assert_eq!(assets["data"][0]["id"], asset);
    assert_eq!(assets["data"][0]["status"], "ready");
    assert_eq!(assets["data"][0]["is_live"], true);
    assert_eq!(assets["data"][0]["progress"]["progress"], -1);
    assert_eq!(assets["data"][0]["passthrough"], "p");
    let path = format!("/video/v1/assets/{asset}");
    assert_eq!(
        mux.call(Method::DELETE, &path, Value::Null).await.0,
        400,
        "while live"
    );

    mux.vendors.unpublish(encoder);
    mux.until(&stream, "status", |status| status == "idle")
        .await;
    assert_eq!(mux.manifest(playback).await, 412);
    let (_, read) = mux.call(Method::GET, &path, Value::Null).await;
    assert_eq!(read["data"]["is_live"], true, "not complete yet");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, read) = mux.call(Method::GET, &path, Value::Null).await;
        if read["data"].get("is_live").is_none() {
            assert_eq!(read["data"]["status"], "ready");
            break;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(mux.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(mux.call(Method::DELETE, &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn completing_keeps_the_encoder_for_a_minute_and_disabling_does_not() {
    let mux = Mux::start(unlimited());
    let stream = mux.create(json!({"playback_policies": ["public"]})).await;
    assert_eq!(
        mux.put(&stream, "complete").await,
        400,
        "there is no broadcast"
    );
    mux.publish(&stream).unwrap();
    mux.until(&stream, "status", |status| status == "active")
        .await;
    assert!(mux.publish(&stream).is_err(), "one encoder for a key");
    assert_eq!(mux.put(&stream, "complete").await, 200);
    assert_eq!(mux.read(&stream).await["status"], "idle");
    let again = mux
        .until(&stream, "status", |status| status == "active")
        .await;
    assert_eq!(
        again["recent_asset_ids"].as_array().map(Vec::len),
        Some(2),
        "the trap"
    );
    let gone = |mux: &Mux| mux.vendors.state().live_inputs[0].encoders.is_empty();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !gone(&mux) {
        assert!(Instant::now() < deadline, "a minute is over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    mux.publish(&stream).unwrap();
    assert_eq!(mux.put(&stream, "disable").await, 200);
    assert!(gone(&mux));
    assert!(mux.publish(&stream).is_err());
    assert_eq!(mux.read(&stream).await["status"], "disabled");
    assert_eq!(mux.put(&stream, "enable").await, 200);
    mux.publish(&stream).unwrap();
    let path = format!("{STREAMS}/{}", id(&stream));
    assert_eq!(
        mux.call(Method::DELETE, &path, Value::Null).await.0,
        204,
        "while live"
    );
    assert_eq!(mux.call(Method::DELETE, &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_new_key_leaves_the_connected_encoder() {
    let mux = Mux::start(unlimited());
    let stream = mux.create(json!({"playback_policies": ["public"]})).await;
    let encoder = mux.publish(&stream).unwrap();
    let path = format!("{STREAMS}/{}/reset-stream-key", id(&stream));
    let (status, renewed) = mux.call(Method::POST, &path, Value::Null).await;
    assert_eq!(status, 201);
    assert_ne!(renewed["data"]["stream_key"], stream["stream_key"]);
    assert_eq!(mux.vendors.state().live_inputs[0].encoders.len(), 1);
    mux.vendors.unpublish(encoder);
    assert!(mux.publish(&stream).is_err());
    mux.publish(&renewed["data"]).unwrap();
}

#[tokio::test]
async fn a_test_stream_is_disabled_after_five_minutes() {
    let mux = Mux::start(Options {
        speed: 400.0,
        wire_speed: Some(400.0),
        ..unlimited()
    });
    let stream = mux.create(json!({"test": true})).await;
    mux.publish(&stream).unwrap();
    mux.until(&stream, "status", |status| status == "disabled")
        .await;
}

#[tokio::test]
async fn webhooks_are_signed_with_their_own_secrets_and_times_in_them_are_numbers() {
    let receiver = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&receiver)
        .await;
    let configured = format!("{}/configured", receiver.uri());
    let mux = Mux::start(Options {
        webhooks: WebhookUrls {
            mux: Some(configured),
            ..WebhookUrls::default()
        },
        ..unlimited()
    });
    let created = json!({"address": format!("{}/created", receiver.uri())});
    let (status, webhook) = mux
        .call(Method::POST, "/system/v1/webhooks", created.clone())
        .await;
    assert_eq!(status, 201);
    let secret = webhook["data"]["signing_secret"].as_str().unwrap();
    let (_, list) = mux
        .call(Method::GET, "/system/v1/webhooks", Value::Null)
        .await;
    assert_eq!(list["data"][0].get("signing_secret"), None, "shown once");
    let (status, _) = mux.call(Method::POST, "/system/v1/webhooks", created).await;
    assert_eq!(status, 400, "an address is used once");
    let stream = mux.create(json!({"passthrough": "p"})).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let all = loop {
        let all = receiver.received_requests().await.unwrap();
        if all.len() == 2 {
            break all;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for request in all {
        let secret = match request.url.path() {
            "/created" => secret,
            _ => mux.vendors.mux_webhook_secret(),
        };
        let header = request.headers["mux-signature"].to_str().unwrap();
        let (time, signature) = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(",v1=")
            .unwrap();
        use hmac::{KeyInit as _, Mac as _};
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(&request.body);
        assert_eq!(hex::encode(mac.finalize().into_bytes()), signature);
        let event: Value = request.body_json().unwrap();
        assert_eq!(event["type"], "video.live_stream.created");
        assert_eq!(event["object"], json!({"type": "live", "id": stream["id"]}));
        assert_eq!(event["data"]["passthrough"], "p");
        assert!(event["data"]["created_at"].is_i64(), "{event:#}");
    }
}

#[tokio::test]
async fn a_plan_may_have_no_live_streams() {
    let mux = Mux::start(Options {
        mux_free_plan: true,
        ..unlimited()
    });
    let (status, body) = mux.call(Method::POST, STREAMS, json!({})).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (400, &json!("invalid_parameters"))
    );
    let message = body["error"]["messages"][0].as_str().unwrap();
    assert!(message.contains("free plan"), "{message}");
}
