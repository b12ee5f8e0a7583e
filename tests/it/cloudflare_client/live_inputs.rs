use relaykeeper::platforms::cloudflare::{FeedState, NewLiveInput};
use relaykeeper::vendors::{Class, Done};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::*;

fn input() -> String {
    stream(&format!("/live_inputs/{UID}"))
}

#[tokio::test]
async fn a_live_input_is_read_with_its_key_and_its_status() {
    let connected = json!({ "current": { "state": "connected", "ingestProtocol": "rtmp",
        "statusEnteredAt": "2026-11-22T01:10:00Z", "statusLastSeen": "2026-11-22T01:11:00Z" }, "history": [] });
    let server = answering(
        "GET",
        &input(),
        ok(with(live_input(), "/status", connected)),
    )
    .await;
    let read = client(&server).get_live_input(permit(), UID).await.unwrap();
    assert_eq!(read.status.state, FeedState::Connected);
    assert_eq!(read.rtmps.unwrap().stream_key.expose_secret(), KEY);
    assert_eq!(
        calls(&server).await,
        [format!("GET /stream/live_inputs/{UID}")]
    );
    let request = &requests(&server).await[0];
    assert_eq!(
        header(request, "authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn a_status_of_any_shape_fails_no_read() {
    for (status, state) in [
        (Value::Null, FeedState::NeverConnected),
        (json!({}), FeedState::NeverConnected),
        (json!("client_disconnect"), FeedState::Disconnected),
        (
            json!({"current": {"state": "reconnecting"}}),
            FeedState::Reconnecting,
        ),
        (
            json!({"current": {"state": "warp"}}),
            FeedState::Unknown("warp".into()),
        ),
        (
            json!("new_configuration_accepted"),
            FeedState::Unknown("new_configuration_accepted".into()),
        ),
    ] {
        let server = answering("GET", &input(), ok(with(live_input(), "/status", status))).await;
        let read = client(&server).get_live_input(permit(), UID).await.unwrap();
        assert_eq!(read.status.state, state);
    }
}

#[tokio::test]
async fn a_live_input_that_is_gone_is_not_found() {
    let server = answering("GET", &input(), refused(404, 10003, "Not Found")).await;
    let error = client(&server)
        .get_live_input(permit(), UID)
        .await
        .unwrap_err();
    assert_eq!((error.class, error.done), (Class::NotFound, Done::No));
    assert_eq!((error.status, error.code), (Some(404), Some(10003)));
}

fn listed() -> Value {
    json!([
        { "uid": UID, "created": "2026-11-22T01:08:50.72217Z", "modified": "2026-11-22T02:00:00Z",
          "meta": { "name": "channel 42", "relaykeeper": TAG }, "enabled": false, "deleteRecordingAfterDays": null },
        { "uid": "anothers", "meta": {} },
    ])
}

#[tokio::test]
async fn a_list_is_a_bare_array_or_an_object() {
    for (result, cut) in [
        (listed(), false),
        (
            json!({ "liveInputs": listed(), "range": 1000, "total": 2 }),
            false,
        ),
        (
            json!({ "liveInputs": listed(), "range": 1000, "total": 3 }),
            true,
        ),
    ] {
        let server = answering("GET", &stream("/live_inputs"), ok(result)).await;
        let list = client(&server).list_live_inputs(permit()).await.unwrap();
        assert_eq!(list.may_be_cut, cut);
        assert_eq!(list.live_inputs.len(), 2);
        let ours = &list.live_inputs[0];
        assert_eq!(ours.tag.as_deref(), Some(TAG));
        assert_eq!(ours.enabled, Some(false));
        assert!(ours.modified > ours.created);
        assert_eq!(list.live_inputs[1].tag, None);
        assert_eq!(
            calls(&server).await,
            ["GET /stream/live_inputs?include_counts=true"]
        );
    }
}

#[tokio::test]
async fn a_list_as_long_as_a_page_may_be_cut_and_so_may_one_with_unreadable_items() {
    let full: Vec<Value> = (0..1000)
        .map(|number| json!({ "uid": number.to_string() }))
        .collect();
    for result in [json!(full), json!([{ "uid": UID }, { "id": "odd" }])] {
        let server = answering("GET", &stream("/live_inputs"), ok(result)).await;
        let list = client(&server).list_live_inputs(permit()).await.unwrap();
        assert!(list.may_be_cut);
    }
}

#[tokio::test]
async fn an_answer_without_a_list_is_never_taken_for_an_empty_one() {
    for result in [
        Value::Null,
        json!({}),
        json!({ "liveInputs": null }),
        json!("none"),
    ] {
        let server = answering("GET", &stream("/live_inputs"), ok(result)).await;
        let error = client(&server)
            .list_live_inputs(permit())
            .await
            .unwrap_err();
        assert_eq!(error.class, Class::Unexpected);
    }
}

#[tokio::test]
async fn disabling_sends_that_field_alone() {
    let disabled = with(live_input(), "/enabled", json!(false));
    let server = answering("PUT", &input(), ok(disabled)).await;
    client(&server)
        .disable_live_input(permit(), UID)
        .await
        .unwrap();
    let request = &requests(&server).await[0];
    assert_eq!(
        request.body_json::<Value>().unwrap(),
        json!({ "enabled": false })
    );
    assert_eq!(
        calls(&server).await,
        [format!("PUT /stream/live_inputs/{UID}")]
    );
}

#[tokio::test]
async fn a_live_input_is_disabled_when_the_answer_is_that_live_input_and_does_not_say_enabled() {
    let silent = without(live_input(), "enabled");
    let server = answering("PUT", &input(), ok(silent)).await;
    client(&server)
        .disable_live_input(permit(), UID)
        .await
        .unwrap();

    let server = answering("PUT", &input(), ok(live_input())).await;
    let error = client(&server)
        .disable_live_input(permit(), UID)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.done),
        (Class::Unexpected, Done::Unknown)
    );
}

#[tokio::test]
async fn enabling_sends_all_settings_and_is_done_unless_the_answer_says_disabled() {
    let settings = NewLiveInput {
        low_latency: false,
        tag: "tag".into(),
        name: "show".into(),
        timeout_seconds: 30,
        delete_recording_after_days: None,
    };
    let server = answering("PUT", &input(), ok(live_input())).await;
    client(&server)
        .enable_live_input(permit(), UID, &settings)
        .await
        .unwrap();
    assert_eq!(
        requests(&server).await[0].body_json::<Value>().unwrap(),
        json!({
            "enabled": true, "deleteRecordingAfterDays": null, "preferLowLatency": false,
            "meta": {"name": "show", "relaykeeper": "tag"},
            "recording": {"mode": "automatic", "timeoutSeconds": 30, "requireSignedURLs": false},
        })
    );
    let disabled = with(live_input(), "/enabled", json!(false));
    let server = answering("PUT", &input(), ok(disabled)).await;
    let error = client(&server)
        .enable_live_input(permit(), UID, &settings)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.done),
        (Class::Unexpected, Done::Unknown)
    );
}

fn page(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_raw("<!doctype html><title>One moment</title>", "text/html")
}

#[tokio::test]
async fn a_2xx_that_is_not_the_documented_live_input_leaves_the_call_unknown() {
    let another = with(live_input(), "/uid", json!("another"));
    for answer in [
        page(200),
        ResponseTemplate::new(204),
        ResponseTemplate::new(200).set_body_string("ok"),
        ResponseTemplate::new(200).set_body_string("{}"),
        ok(Value::Null),
        ok(json!({})),
        ok(json!({ "uid": "", "enabled": false })),
        ok(with(another, "/enabled", json!(false))),
    ] {
        let server = answering("PUT", &input(), answer.clone()).await;
        on(&server, "POST", &format!("{}/rotate_keys", input()), answer).await;
        let client = client(&server);
        let disabled = client.disable_live_input(permit(), UID).await.unwrap_err();
        let rotated = client.rotate_keys(permit(), UID).await.unwrap_err();
        for error in [disabled, rotated] {
            assert_eq!(
                (error.class, error.done),
                (Class::Unexpected, Done::Unknown),
                "{error}"
            );
        }
        assert!(client.last_success().is_none());
    }
}

#[tokio::test]
async fn a_web_page_deletes_nothing_whatever_its_status() {
    for status in [200, 202, 400, 404, 409] {
        let server = answering("DELETE", &input(), page(status)).await;
        on(&server, "DELETE", &stream("/v1"), page(status)).await;
        let client = client(&server);
        let input = delete(&client).await.unwrap_err();
        let video = client.delete_video(permit(), "v1").await.unwrap_err();
        for error in [input, video] {
            assert_eq!(
                (error.class, error.done),
                (Class::Unexpected, Done::Unknown),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_deletion_whose_envelope_says_that_it_failed_is_not_done() {
    let server = answering("DELETE", &input(), refused(200, 4242, "not now")).await;
    let client = client(&server);
    let error = delete(&client).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Rejected, Done::Unknown));
    assert_eq!(error.message, "not now");
}

#[tokio::test]
async fn new_keys_come_with_the_same_live_input() {
    let rotated = with(live_input(), "/rtmps/streamKey", json!("new"));
    let server = answering("POST", &format!("{}/rotate_keys", input()), ok(rotated)).await;
    let read = client(&server).rotate_keys(permit(), UID).await.unwrap();
    assert_eq!(read.uid, UID);
    assert_eq!(read.rtmps.unwrap().stream_key.expose_secret(), "new");
    let request = &requests(&server).await[0];
    assert_eq!(request.url.path(), format!("{}/rotate_keys", input()));
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn deleting_is_done_by_any_2xx_and_when_there_is_nothing_left_to_delete() {
    for answer in [
        ResponseTemplate::new(200),
        ResponseTemplate::new(204),
        ResponseTemplate::new(200).set_body_string("{}"),
        ok(Value::Null),
        ResponseTemplate::new(202).set_body_string("ok"),
        refused(404, 10003, "Not Found"),
        ResponseTemplate::new(404),
    ] {
        let server = answering("DELETE", &input(), answer).await;
        delete(&client(&server)).await.unwrap();
        assert_eq!(
            calls(&server).await,
            [format!("DELETE /stream/live_inputs/{UID}")]
        );
    }
}

#[tokio::test]
async fn a_404_for_the_account_is_not_a_live_input_that_is_gone() {
    let answer = refused(404, 7003, "Could not route to /accounts/x/stream");
    let server = answering("DELETE", &input(), answer).await;
    let error = delete(&client(&server)).await.unwrap_err();
    assert_eq!(error.class, Class::Rejected);
}

#[tokio::test]
async fn an_invalid_id_never_becomes_a_call_on_the_collection() {
    let server = answering(
        "DELETE",
        &stream("/live_inputs/"),
        ResponseTemplate::new(200),
    )
    .await;
    for odd in ["", ".", "..", "../webhook", "a/b", "a?b", "a b"] {
        let error = client(&server)
            .delete_live_input(permit(), odd)
            .await
            .unwrap_err();
        assert_eq!(
            (error.class, error.done),
            (Class::Rejected, Done::No),
            "{odd}"
        );
    }
    assert!(calls(&server).await.is_empty());
}
