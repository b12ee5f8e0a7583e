//! The customer host: which one is trusted, and how its answers are read.

use std::time::Duration;

use relaykeeper::platforms::cloudflare::{Cloudflare, Lifecycle, Manifest};
use relaykeeper::vendors::{Class, Done};
use serde_json::json;
use wiremock::{MockServer, ResponseTemplate};

use super::support::*;

async fn playing(path: &str, answer: ResponseTemplate) -> (MockServer, Cloudflare) {
    let server = answering("GET", &format!("/{UID}/{path}"), answer).await;
    let mut settings = settings(&server);
    settings.customer_base_url = server.uri();
    (server, client_of(&settings))
}

fn lifecycle(body: serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn lifecycle_tells_whether_a_broadcast_is_going_on_and_its_video() {
    let live = json!({ "isInput": true, "videoUID": "v", "live": true, "status": "connected" });
    let (server, client) = playing("lifecycle", lifecycle(live)).await;
    assert_eq!(
        client.customer().lifecycle(permit(), UID).await.unwrap(),
        Lifecycle {
            live: true,
            video_uid: Some("v".into())
        }
    );
    let request = &requests(&server).await[0];
    assert_eq!(request.url.path(), format!("/{UID}/lifecycle"));
    assert_eq!(header(request, "authorization"), None);
    assert!(
        header(request, "user-agent")
            .unwrap()
            .starts_with("Mozilla/5.0 ")
    );
    assert_eq!(client.budget().used, 0, "the API's budget is not touched");

    let idle = json!({ "isInput": true, "videoUID": null, "live": false });
    let (_server, client) = playing("lifecycle", lifecycle(idle)).await;
    assert_eq!(
        client.customer().lifecycle(permit(), UID).await.unwrap(),
        Lifecycle {
            live: false,
            video_uid: None
        }
    );
}

#[tokio::test]
async fn a_lifecycle_of_another_shape_is_an_error() {
    for (answer, class) in [
        (lifecycle(json!({ "isInput": true })), Class::Unexpected),
        (lifecycle(json!({ "live": "yes" })), Class::Unexpected),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            Class::Unexpected,
        ),
        (ResponseTemplate::new(204), Class::Unexpected),
        (
            ResponseTemplate::new(403).set_body_string("error code: 1010"),
            Class::Unexpected,
        ),
        (ResponseTemplate::new(401), Class::Unexpected),
        (ResponseTemplate::new(404), Class::NotFound),
        (ResponseTemplate::new(502), Class::Unavailable),
    ] {
        let (_server, client) = playing("lifecycle", answer).await;
        let error = client
            .customer()
            .lifecycle(permit(), UID)
            .await
            .unwrap_err();
        assert_eq!((error.class, error.done), (class, Done::No));
    }
}

#[tokio::test]
async fn viewers_are_counted() {
    let (server, client) = playing("views", lifecycle(json!({ "liveViewers": 113 }))).await;
    assert_eq!(client.customer().views(permit(), UID).await.unwrap(), 113);
    assert_eq!(calls(&server).await, [format!("GET /{UID}/views")]);
}

#[tokio::test]
async fn a_manifest_is_playable_only_when_it_is_one() {
    let body = |text: &str| ResponseTemplate::new(200).set_body_string(text);
    for (answer, manifest) in [
        (body("#EXTM3U\n#EXT-X-VERSION:6\n"), Manifest::Playable),
        (body("\u{feff}#EXTM3U\n"), Manifest::Playable),
        (body("<html>"), Manifest::Other(200)),
        (body(""), Manifest::Other(200)),
        (ResponseTemplate::new(204), Manifest::Idle),
        (ResponseTemplate::new(403), Manifest::Other(403)),
        (ResponseTemplate::new(404), Manifest::Other(404)),
        (ResponseTemplate::new(424), Manifest::Other(424)),
        (ResponseTemplate::new(502), Manifest::Other(502)),
    ] {
        let (server, client) = playing("manifest/video.m3u8", answer).await;
        assert_eq!(
            client.customer().manifest(permit(), UID).await.unwrap(),
            manifest
        );
        assert!(
            header(&requests(&server).await[0], "user-agent")
                .unwrap()
                .starts_with("Mozilla/5.0 ")
        );
    }
}

#[tokio::test]
async fn a_429_of_the_host_silences_the_host_and_not_the_api() {
    let answer = ResponseTemplate::new(429).insert_header("retry-after", "30");
    let (server, client) = playing("lifecycle", answer).await;
    let host = client.customer();
    let error = host.lifecycle(permit(), UID).await.unwrap_err();
    assert_eq!(
        (error.class, error.retry_after),
        (Class::RateLimited, Some(Duration::from_secs(30)))
    );
    assert_eq!(
        host.manifest(permit(), UID).await.unwrap_err().class,
        Class::RateLimited
    );
    assert_eq!(calls(&server).await.len(), 1);
    assert!(host.budget().paused_for.is_some());
    assert_eq!(client.budget().paused_for, None);
}

#[tokio::test]
async fn an_unknown_host_is_an_error_until_a_stored_playback_url_names_it() {
    let server = MockServer::start().await;
    let client = client(&server);
    let error = client
        .customer()
        .lifecycle(permit(), UID)
        .await
        .unwrap_err();
    assert_eq!((error.class, error.done), (Class::Unavailable, Done::No));
    assert!(
        !client
            .customer()
            .learn("https://evil.example/manifest/video.m3u8")
    );
    assert_eq!(client.customer().base_url(), None);
    assert!(
        client
            .clone()
            .customer()
            .learn(&format!("{HOST}/{UID}/manifest/video.m3u8"))
    );
    assert_eq!(
        client.customer().base_url().as_deref(),
        Some(HOST),
        "clones share it"
    );
}

#[tokio::test]
async fn an_answer_cannot_lead_the_client_to_a_foreign_host() {
    let evil = json!({ "hls": "https://evil.example/x/manifest/video.m3u8", "dash": null });
    let odd = with(live_input(), "/playback", evil);
    let odd = with(
        odd,
        "/webRTCPlayback/url",
        json!("http://customer-abc.cloudflarestream.com/x"),
    );
    let server = answering("GET", &stream(&format!("/live_inputs/{UID}")), ok(odd)).await;
    let client = client(&server);
    let read = client.get_live_input(permit(), UID).await.unwrap();
    assert_eq!(read.customer_base_url, None);
    assert_eq!(client.customer().base_url(), None);
}

#[tokio::test]
async fn the_configured_host_stays_whatever_an_answer_names() {
    let server = answering(
        "GET",
        &stream(&format!("/live_inputs/{UID}")),
        ok(live_input()),
    )
    .await;
    let mut settings = settings(&server);
    settings.customer_base_url = "http://127.0.0.1:1/".into();
    let client = client_of(&settings);
    let read = client.get_live_input(permit(), UID).await.unwrap();
    assert_eq!(read.customer_base_url.as_deref(), Some(HOST));
    assert_eq!(
        client.customer().base_url().as_deref(),
        Some("http://127.0.0.1:1")
    );
}
