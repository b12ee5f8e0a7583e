use std::time::Duration;

use relaykeeper::config;
use relaykeeper::platforms::cloudflare::{Cloudflare, CreatedLiveInput, NewLiveInput};
use relaykeeper::vendors::VendorError;
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(crate) const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub(crate) const TOKEN: &str = "t0ken-that-nobody-may-see";
pub(crate) const UID: &str = "66be4bf738797e01e1fca35a7bdecdcd";
pub(crate) const KEY: &str = "2fb3cb9f17e68a2568d6ebed8d5505eak66be4bf738797e01e1fca35a7bdecdcd";
pub(crate) const PUBLISH_SECRET: &str = "b236bde30eb07b9d01318940e5fc3edake";
pub(crate) const TAG: &str = "shop_0a1b2c3d_0192f0c4aaaabbbbccccddddeeeeffff_1";
pub(crate) const HOST: &str = "https://customer-m033z5x00ks6nunl.cloudflarestream.com";

pub(crate) fn settings(server: &MockServer) -> config::CloudflareSettings {
    config::CloudflareSettings {
        account_id: ACCOUNT.into(),
        api_token: TOKEN.into(),
        api_base_url: format!("{}/client/v4", server.uri()),
        ..config::CloudflareSettings::default()
    }
}

pub(crate) fn client_of(settings: &config::CloudflareSettings) -> Cloudflare {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Cloudflare::new(
        settings,
        &config::VendorsSettings::default(),
        &Lease::for_good(),
    )
    .unwrap()
}

pub(crate) fn client(server: &MockServer) -> Cloudflare {
    client_of(&settings(server))
}

pub(crate) fn permit() -> PermitRequest {
    PermitRequest {
        priority: Priority::Start,
        until: Instant::now() + Duration::from_secs(5),
    }
}

pub(crate) fn new_live_input() -> NewLiveInput {
    NewLiveInput {
        low_latency: false,
        tag: TAG.into(),
        name: "channel 42".into(),
        timeout_seconds: 180,
        delete_recording_after_days: Some(30),
    }
}

pub(crate) async fn create(client: &Cloudflare) -> Result<CreatedLiveInput, VendorError> {
    let new = new_live_input();
    client.create_live_input(permit(), &new).await
}

pub(crate) async fn delete(client: &Cloudflare) -> Result<(), VendorError> {
    client.delete_live_input(permit(), UID).await
}

pub(crate) fn stream(rest: &str) -> String {
    format!("/client/v4/accounts/{ACCOUNT}/stream{rest}")
}

/// Cloudflare's answer to [`new_live_input`], with secrets.
pub(crate) fn live_input() -> Value {
    json!({
        "uid": UID,
        "rtmps": { "url": "rtmps://live.cloudflare.com:443/live/", "streamKey": KEY },
        "rtmpsPlayback": { "url": "rtmps://live.cloudflare.com:443/live/", "streamKey": KEY },
        "srt": { "url": "srt://live.cloudflare.com:778", "streamId": UID, "passphrase": KEY },
        "srtPlayback": { "url": "srt://live.cloudflare.com:778", "streamId": UID, "passphrase": KEY },
        "webRTC": { "url": format!("{HOST}/{PUBLISH_SECRET}/webRTC/publish") },
        "webRTCPlayback": { "url": format!("{HOST}/{UID}/webRTC/play") },
        "playback": {
            "hls": format!("{HOST}/{UID}/manifest/video.m3u8"),
            "dash": format!("{HOST}/{UID}/manifest/video.mpd"),
        },
        "created": "2026-11-22T01:08:50.72217Z",
        "modified": "2026-11-22T01:08:50.72217Z",
        "meta": { "name": "channel 42", "relaykeeper": TAG },
        "status": null,
        "recording": { "mode": "automatic", "timeoutSeconds": 180, "requireSignedURLs": false,
            "allowedOrigins": null, "hideLiveViewerCount": false },
        "enabled": true,
        "deleteRecordingAfterDays": 30,
    })
}

pub(crate) fn video(uid: &str, input: &str, state: &str) -> Value {
    json!({
        "uid": uid, "liveInput": input,
        "status": { "state": state, "pctComplete": "100.000000", "errorReasonCode": "", "errorReasonText": "" },
        "readyToStream": state == "ready",
        "duration": if state == "ready" { json!(1830.4) } else { json!(-1) },
        "size": 0, "input": { "width": -1, "height": -1 },
        "created": "2026-11-22T01:10:00Z", "modified": "2026-11-22T01:10:00Z", "uploadExpiry": null,
        "meta": { "name": "channel 42 22 Nov 26 01:10 UTC" },
        "thumbnail": format!("{HOST}/{uid}/thumbnails/thumbnail.jpg"),
        "preview": format!("{HOST}/{uid}/watch"),
        "playback": { "hls": format!("{HOST}/{uid}/manifest/video.m3u8"),
            "dash": format!("{HOST}/{uid}/manifest/video.mpd") },
    })
}

pub(crate) fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

pub(crate) fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}

pub(crate) fn ok(result: Value) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "result": result, "success": true, "errors": [], "messages": [] }))
}

pub(crate) fn refused(status: u16, code: i64, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({
        "result": null, "success": false, "errors": [ { "code": code, "message": message } ], "messages": [],
    }))
}

pub(crate) async fn answering(verb: &str, at: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    on(&server, verb, at, answer).await;
    server
}

pub(crate) async fn on(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// The calls as `METHOD path?query`.
pub(crate) async fn calls(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| {
            let query = request.url.query().map(|query| format!("?{query}"));
            format!(
                "{} {}{}",
                request.method,
                request.url.path().replace("/client/v4", ""),
                query.unwrap_or_default()
            )
            .replace(&format!("/accounts/{ACCOUNT}"), "")
        })
        .collect()
}

pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

pub(crate) fn assert_no_secret(text: &str) {
    for secret in [TOKEN, KEY, PUBLISH_SECRET] {
        assert!(!text.contains(secret), "{text}");
    }
}
