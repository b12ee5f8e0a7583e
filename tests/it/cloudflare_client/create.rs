//! Creating a live input, and what follows if Cloudflare's echo differs from the request.

use relaykeeper::vendors::{Class, Done};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::*;

const INPUTS: &str = "/live_inputs";

fn input() -> String {
    format!("{INPUTS}/{UID}")
}

#[tokio::test]
async fn a_live_input_is_created_with_the_tag_as_key_and_every_setting_explicit() {
    let server = answering("POST", &stream(INPUTS), ok(live_input())).await;
    let created = create(&client(&server)).await.unwrap();

    assert_eq!(calls(&server).await, ["POST /stream/live_inputs"]);
    let request = &requests(&server).await[0];
    assert_eq!(header(request, "idempotency-key"), Some(TAG));
    assert_eq!(
        header(request, "authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    assert_eq!(header(request, "content-type"), Some("application/json"));
    assert_eq!(
        request.body_json::<Value>().unwrap(),
        json!({
            "meta": { "name": "channel 42", "relaykeeper": TAG },
            "recording": { "mode": "automatic", "timeoutSeconds": 180, "requireSignedURLs": false },
            "deleteRecordingAfterDays": 30,
        })
    );

    assert!(created.echo_differs.is_empty());
    let input = created.live_input;
    assert_eq!(input.uid, UID);
    assert_eq!(input.tag.as_deref(), Some(TAG));
    assert_eq!(input.enabled, Some(true));
    assert_eq!(
        input.created.unwrap().to_rfc3339(),
        "2026-11-22T01:08:50.722170+00:00"
    );
    let playback = input.playback.unwrap();
    assert_eq!(
        playback.hls_url,
        format!("{HOST}/{UID}/manifest/video.m3u8")
    );
    assert_eq!(
        playback.dash_url,
        format!("{HOST}/{UID}/manifest/video.mpd")
    );
    assert_eq!(input.customer_base_url.as_deref(), Some(HOST));
    assert_eq!(
        input.rtmps.unwrap().publish_url().expose_secret(),
        format!("rtmps://live.cloudflare.com:443/live/{KEY}")
    );
}

#[tokio::test]
async fn recordings_that_are_kept_for_ever_have_no_retention_in_the_request() {
    let echo = with(live_input(), "/deleteRecordingAfterDays", Value::Null);
    let server = answering("POST", &stream(INPUTS), ok(echo)).await;
    let mut new = new_live_input();
    new.delete_recording_after_days = None;
    let created = client(&server)
        .create_live_input(permit(), &new)
        .await
        .unwrap();
    assert!(created.echo_differs.is_empty());
    let body: Value = requests(&server).await[0].body_json().unwrap();
    assert_eq!(body.get("deleteRecordingAfterDays"), None);
}

#[tokio::test]
async fn all_settings_are_sent_once_more_when_one_was_ignored() {
    let silent = with(live_input(), "/recording/timeoutSeconds", Value::Null);
    let server = answering("POST", &stream(INPUTS), ok(silent)).await;
    on(&server, "PUT", &stream(&input()), ok(live_input())).await;
    let created = create(&client(&server)).await.unwrap();

    assert!(created.echo_differs.is_empty());
    assert_eq!(
        calls(&server).await,
        [
            "POST /stream/live_inputs".to_owned(),
            format!("PUT /stream{}", input())
        ]
    );
    let put = &requests(&server).await[1];
    assert_eq!(header(put, "idempotency-key"), None);
    assert_eq!(
        put.body_json::<Value>().unwrap(),
        json!({
            "meta": { "name": "channel 42", "relaykeeper": TAG },
            "recording": { "mode": "automatic", "timeoutSeconds": 180, "requireSignedURLs": false },
            "deleteRecordingAfterDays": 30,
            "preferLowLatency": false,
        })
    );
}

#[tokio::test]
async fn low_latency_that_stays_unanswered_is_reported_and_the_live_input_is_used() {
    let server = answering("POST", &stream(INPUTS), ok(live_input())).await;
    on(&server, "PUT", &stream(&input()), ok(live_input())).await;
    let mut new = new_live_input();
    new.low_latency = true;
    let created = client(&server)
        .create_live_input(permit(), &new)
        .await
        .unwrap();
    assert_eq!(created.echo_differs, ["preferLowLatency"]);
    for request in requests(&server).await {
        assert_eq!(
            request.body_json::<Value>().unwrap()["preferLowLatency"],
            true
        );
    }
}

#[tokio::test]
async fn a_retention_that_was_not_requested_is_removed_with_an_explicit_null() {
    let kept = with(live_input(), "/deleteRecordingAfterDays", Value::Null);
    let server = answering("POST", &stream(INPUTS), ok(live_input())).await;
    on(&server, "PUT", &stream(&input()), ok(kept)).await;
    let mut new = new_live_input();
    new.delete_recording_after_days = None;
    let created = client(&server)
        .create_live_input(permit(), &new)
        .await
        .unwrap();
    assert!(created.echo_differs.is_empty());
    let body: Value = requests(&server).await[1].body_json().unwrap();
    assert_eq!(body.get("deleteRecordingAfterDays"), Some(&Value::Null));
}

#[tokio::test]
async fn settings_that_stay_different_are_reported_and_the_live_input_is_used() {
    let differs = with(live_input(), "/deleteRecordingAfterDays", json!(60));
    let differs = with(differs, "/recording/requireSignedURLs", json!(true));
    let server = answering("POST", &stream(INPUTS), ok(differs.clone())).await;
    on(&server, "PUT", &stream(&input()), ok(differs)).await;
    let created = create(&client(&server)).await.unwrap();
    assert_eq!(
        created.echo_differs,
        ["recording.requireSignedURLs", "deleteRecordingAfterDays"]
    );
    assert_eq!(calls(&server).await.len(), 2);
}

#[tokio::test]
async fn a_number_in_an_echo_may_have_a_fraction_of_zero() {
    let echo = with(live_input(), "/deleteRecordingAfterDays", json!(30.0));
    let echo = with(echo, "/recording/timeoutSeconds", json!(180.0));
    let server = answering("POST", &stream(INPUTS), ok(echo)).await;
    let created = create(&client(&server)).await.unwrap();
    assert_eq!(created.echo_differs, [""; 0]);
    assert_eq!(calls(&server).await.len(), 1, "nothing is corrected");
}

#[tokio::test]
async fn a_correction_that_fails_leaves_the_live_input_usable_and_reports_the_difference() {
    let differs = without(live_input(), "deleteRecordingAfterDays");
    let server = answering("POST", &stream(INPUTS), ok(differs)).await;
    on(
        &server,
        "PUT",
        &stream(&input()),
        ResponseTemplate::new(503),
    )
    .await;
    let created = create(&client(&server)).await.unwrap();
    assert_eq!(created.echo_differs, ["deleteRecordingAfterDays"]);
}

#[tokio::test]
async fn a_live_input_that_will_not_record_is_rejected_and_deleted_again() {
    let off = with(live_input(), "/recording/mode", json!("off"));
    let server = answering("POST", &stream(INPUTS), ok(off.clone())).await;
    on(&server, "PUT", &stream(&input()), ok(off)).await;
    on(
        &server,
        "DELETE",
        &stream(&input()),
        ResponseTemplate::new(200),
    )
    .await;
    let error = create(&client(&server)).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Rejected, Done::No));
    assert_eq!(error.call, "live_inputs.create");
    assert_eq!(
        calls(&server).await,
        [
            "POST /stream/live_inputs".to_owned(),
            format!("PUT /stream{}", input()),
            format!("DELETE /stream{}", input()),
        ]
    );
}

#[tokio::test]
async fn a_recording_mode_that_could_not_be_corrected_leaves_the_outcome_unknown() {
    let off = without(live_input(), "recording");
    let server = answering("POST", &stream(INPUTS), ok(off)).await;
    on(
        &server,
        "PUT",
        &stream(&input()),
        refused(403, 10000, "Authentication error"),
    )
    .await;
    let error = create(&client(&server)).await.unwrap_err();
    assert_eq!(
        (error.class, error.done),
        (Class::Unauthorized, Done::Unknown)
    );
}

#[tokio::test]
async fn the_idempotency_key_of_a_deleted_live_input_is_a_conflict() {
    let answer = ResponseTemplate::new(409).set_body_json(json!({
        "result": null, "success": false, "errors": [ { "message": "Conflict" } ], "messages": null,
    }));
    let server = answering("POST", &stream(INPUTS), answer).await;
    let error = create(&client(&server)).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Conflict, Done::No));
    assert_eq!((error.status, error.code), (Some(409), None));
}

#[tokio::test]
async fn a_2xx_without_a_live_input_may_have_created_one() {
    for body in [
        "",
        "<html>ok</html>",
        "{}",
        r#"{"success":true,"result":null}"#,
        r#"{"success":true,"result":{"rtmps":{}}}"#,
        r#"{"success":true,"result":[]}"#,
    ] {
        let answer = ResponseTemplate::new(201).set_body_string(body);
        let server = answering("POST", &stream(INPUTS), answer).await;
        let error = create(&client(&server)).await.unwrap_err();
        assert_eq!(
            (error.class, error.done, error.status),
            (Class::Unexpected, Done::Unknown, Some(201)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn playback_urls_are_built_when_an_older_api_sends_none() {
    let old = without(live_input(), "playback");
    let server = answering("POST", &stream(INPUTS), ok(old)).await;
    let client = client(&server);
    let created = create(&client).await.unwrap();
    let playback = created.live_input.playback.unwrap();
    assert_eq!(
        playback.hls_url,
        format!("{HOST}/{UID}/manifest/video.m3u8")
    );
    assert_eq!(
        playback.dash_url,
        format!("{HOST}/{UID}/manifest/video.mpd")
    );
    assert_eq!(client.customer().base_url().as_deref(), Some(HOST));
}

#[tokio::test]
async fn playback_urls_have_the_configured_customer_host_whatever_an_answer_names() {
    let old = without(live_input(), "playback");
    let server = answering("POST", &stream(INPUTS), ok(old)).await;
    on(&server, "GET", &stream(&input()), ok(live_input())).await;
    let mut settings = settings(&server);
    settings.customer_base_url = "http://media.internal:8081/cdn/".into();
    let client = client_of(&settings);
    let created = create(&client).await.unwrap();
    assert_eq!(
        created.live_input.playback.unwrap().hls_url,
        format!("http://media.internal:8081/cdn/{UID}/manifest/video.m3u8")
    );
    let read = client.get_live_input(permit(), UID).await.unwrap();
    assert_eq!(
        read.playback.unwrap().hls_url,
        format!("http://media.internal:8081/cdn/{UID}/manifest/video.m3u8")
    );
}

#[tokio::test]
async fn no_secret_is_in_what_can_be_printed() {
    let server = answering("POST", &stream(INPUTS), ok(live_input())).await;
    let client = client(&server);
    let created = create(&client).await.unwrap();
    assert_no_secret(&format!("{created:?} {client:?}"));
    assert_no_secret(&format!(
        "{:?}",
        created.live_input.rtmps.unwrap().publish_url()
    ));
}

#[tokio::test]
async fn no_secret_is_in_the_error_of_an_answer_that_was_not_understood() {
    let broken = with(live_input(), "/uid", json!({ "streamKey": KEY }));
    let cut = live_input().to_string().split_at(400).0.to_owned();
    for answer in [ok(broken), ResponseTemplate::new(200).set_body_string(cut)] {
        let server = answering("POST", &stream(INPUTS), answer).await;
        let error = create(&client(&server)).await.unwrap_err();
        assert_eq!(error.class, Class::Unexpected);
        assert_no_secret(&format!("{error} {error:?}"));
    }
}
