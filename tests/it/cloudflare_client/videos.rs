//! Videos, and the account's own calls.

use std::time::Duration;

use chrono::DateTime;
use relaykeeper::platforms::cloudflare::{TokenState, VideoState};
use relaykeeper::vendors::{Class, Done};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;
use wiremock::matchers::any;

use super::support::*;

#[tokio::test]
async fn the_videos_of_a_live_input_are_checked_to_be_its_own() {
    let list = json!([
        video("running", UID, "live-inprogress"),
        video("done", UID, "ready"),
        video("anothers", "another", "ready"),
        without(video("nobodys", UID, "ready"), "liveInput"),
    ]);
    let at = format!("/live_inputs/{UID}/videos");
    let server = answering("GET", &stream(&at), ok(list)).await;
    let videos = client(&server).videos_of(permit(), UID).await.unwrap();
    assert_eq!(calls(&server).await, [format!("GET /stream{at}")]);
    let found: Vec<_> = videos.iter().map(|video| video.uid.as_str()).collect();
    assert_eq!(found, ["running", "done"]);
    assert_eq!(videos[0].state, VideoState::LiveInProgress);
    assert_eq!(videos[0].duration, None);
    assert_eq!(videos[1].state, VideoState::Ready);
    assert_eq!(videos[1].duration, Some(Duration::from_millis(1_830_400)));
    assert!(videos[1].ready_to_stream);
    assert_eq!(
        videos[1].thumbnail_url.as_deref(),
        Some(format!("{HOST}/done/thumbnails/thumbnail.jpg").as_str())
    );
}

#[tokio::test]
async fn the_videos_of_a_deleted_live_input_are_found_by_the_documented_filter() {
    let list = json!([
        video("done", UID, "ready"),
        video("anothers", "another", "ready")
    ]);
    let server = answering("GET", &stream(""), ok(list)).await;
    let videos = client(&server)
        .videos_by_input(permit(), UID, None)
        .await
        .unwrap();
    assert_eq!(
        calls(&server).await,
        [format!("GET /stream?live_input_id={UID}")]
    );
    assert_eq!(videos.len(), 1);
}

#[tokio::test]
async fn one_list_has_all_ready_recordings() {
    let list = json!([
        video("done", UID, "ready"),
        video("other", "another", "ready"),
        video("running", UID, "live-inprogress"),
        without(video("uploaded", UID, "ready"), "liveInput"),
    ]);
    let server = answering("GET", &stream(""), ok(list)).await;
    let after = DateTime::parse_from_rfc3339("2026-11-22T01:02:03.456Z").unwrap();
    let list = client(&server)
        .ready_live_recordings(permit(), after.to_utc(), None)
        .await
        .unwrap();
    assert_eq!(
        calls(&server).await,
        ["GET /stream?type=live&status=ready&after=2026-11-22T01%3A02%3A03Z&limit=1000"]
    );
    let found: Vec<_> = list.videos.iter().map(|video| video.uid.as_str()).collect();
    assert_eq!(found, ["done", "other"], "an ignored filter harms nobody");
    assert_eq!(list.goes_on_before, None);
}

#[tokio::test]
async fn a_full_list_goes_on_before_its_oldest_video() {
    let oldest = "2026-11-22T01:02:03.000456Z";
    let full: Vec<Value> = (0..1000)
        .map(|number: usize| {
            let mut video = video(&number.to_string(), UID, "ready");
            let created = if number == 500 {
                oldest
            } else {
                "2026-11-22T01:02:04Z"
            };
            video["created"] = json!(created);
            video
        })
        .collect();
    let server = answering("GET", &stream(""), ok(json!(full))).await;
    let client = client(&server);
    let page = client.ready_live_recordings(permit(), DateTime::UNIX_EPOCH, None);
    let page = page.await.unwrap();
    assert_eq!(page.videos.len(), 1000);
    let oldest = DateTime::parse_from_rfc3339(oldest).unwrap().to_utc();
    assert_eq!(page.goes_on_before, Some(oldest));
    let next = client.ready_live_recordings(permit(), DateTime::UNIX_EPOCH, Some(oldest));
    next.await.unwrap();
    let first = "GET /stream?type=live&status=ready&after=1970-01-01T00%3A00%3A00Z&limit=1000";
    assert_eq!(
        calls(&server).await,
        [
            first.to_owned(),
            format!("{first}&before=2026-11-22T01%3A02%3A03.000456Z")
        ]
    );
}

#[tokio::test]
async fn one_video_is_read_and_teaches_the_customer_host() {
    let only_preview = without(video("v", UID, "ready"), "playback");
    let server = answering("GET", &stream("/v"), ok(without(only_preview, "thumbnail"))).await;
    let client = client(&server);
    let video = client.video(permit(), "v").await.unwrap();
    assert_eq!(calls(&server).await, ["GET /stream/v"]);
    assert_eq!(client.customer().base_url().as_deref(), Some(HOST));
    assert_eq!(
        video.playback.unwrap().hls_url,
        format!("{HOST}/v/manifest/video.m3u8")
    );
    assert_eq!(
        video.thumbnail_url.unwrap(),
        format!("{HOST}/v/thumbnails/thumbnail.jpg")
    );
}

#[tokio::test]
async fn a_video_is_deleted_by_any_2xx_and_when_it_is_gone() {
    for answer in [ResponseTemplate::new(200), ResponseTemplate::new(404)] {
        let server = answering("DELETE", &stream("/v"), answer).await;
        client(&server).delete_video(permit(), "v").await.unwrap();
        assert_eq!(calls(&server).await, ["DELETE /stream/v"]);
    }
}

#[tokio::test]
async fn a_video_whose_broadcast_is_going_on_cannot_be_deleted_yet() {
    let answer = refused(409, 10046, "Not Implemented: Feature not supported");
    let server = answering("DELETE", &stream("/v"), answer).await;
    let error = client(&server)
        .delete_video(permit(), "v")
        .await
        .unwrap_err();
    assert_eq!((error.class, error.done), (Class::Conflict, Done::No));
    assert_eq!(error.code, Some(10046));
}

#[tokio::test]
async fn the_storage_is_reported_in_minutes() {
    let usage =
        json!({ "totalStorageMinutes": 12.5, "totalStorageMinutesLimit": 1000, "videoCount": 3 });
    let server = answering("GET", &stream("/storage-usage"), ok(usage)).await;
    let usage = client(&server).storage_usage(permit()).await.unwrap();
    assert!((usage.total_minutes - 12.5).abs() < f64::EPSILON);
    assert_eq!(usage.video_count, Some(3));
}

const BY_USER: &str = "/client/v4/user/tokens/verify";

fn by_account() -> String {
    format!("/client/v4/accounts/{ACCOUNT}/tokens/verify")
}

#[tokio::test]
async fn a_valid_token_is_active_though_a_message_has_an_errors_code() {
    let answer = ResponseTemplate::new(200).set_body_json(json!({
        "result": { "id": "x", "status": "active" }, "success": true, "errors": [],
        "messages": [ { "code": 10000, "message": "This API Token is valid and active", "type": null } ],
    }));
    let server = answering("GET", BY_USER, answer).await;
    let state = client(&server).verify_token(permit()).await.unwrap();
    assert_eq!(state, TokenState::Active);
    assert_eq!(calls(&server).await, ["GET /user/tokens/verify"]);
}

#[tokio::test]
async fn an_accounts_own_token_is_verified_by_the_account() {
    let server = answering("GET", &by_account(), ok(json!({ "status": "expired" }))).await;
    let mut settings = settings(&server);
    settings.api_token = "cfat_abc".into();
    let state = client_of(&settings).verify_token(permit()).await.unwrap();
    assert_eq!(state, TokenState::Expired);
    assert_eq!(calls(&server).await, ["GET /tokens/verify"]);
}

#[tokio::test]
async fn a_token_that_the_users_endpoint_calls_invalid_may_be_the_accounts() {
    let server = answering("GET", BY_USER, refused(401, 1000, "Invalid API Token")).await;
    on(
        &server,
        "GET",
        &by_account(),
        ok(json!({ "status": "active" })),
    )
    .await;
    let state = client(&server).verify_token(permit()).await.unwrap();
    assert_eq!(state, TokenState::Active);

    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(any())
        .respond_with(refused(401, 1000, "Invalid API Token"))
        .mount(&server)
        .await;
    let error = client(&server).verify_token(permit()).await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Unauthorized, Some(1000)));
}
