use super::*;

#[tokio::test]
async fn acquire_asks_for_a_web_page_egress_with_basic_credentials() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("{RECORDING}/acquire")))
        // base64("customer:customer-s3cret")
        .and(header(
            "authorization",
            "Basic Y3VzdG9tZXI6Y3VzdG9tZXItczNjcmV0",
        ))
        .and(header("content-type", "application/json;charset=utf-8"))
        .and(body_json(json!({
            "cname": "tag", "uid": "900000001",
            "clientRequest": { "scene": 1, "resourceExpiredHour": 25 },
        })))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(
                json!({ "cname": "tag", "uid": "900000001", "resourceId": "JyvK8nXH" }),
            ),
        )
        .expect(1)
        .mount(&server)
        .await;
    let id = agora(&server)
        .cloud_recording()
        .acquire(permit(), "tag", 900_000_001, 25)
        .await
        .unwrap();
    assert_eq!(id, "JyvK8nXH");
}

#[tokio::test]
async fn a_start_has_the_documented_body_and_a_repeated_one_the_same_bytes() {
    let server = always(200, json!({ "resourceId": "res/1", "sid": "38f8" })).await;
    let agora = agora(&server);
    for _ in 0..2 {
        let answer = start_egress(&agora).await.unwrap();
        assert_eq!(answer, RecordingStartAnswer::Started { sid: "38f8".into() });
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(
        requests[0].url.path(),
        format!("{RECORDING}/resourceid/res%2F1/mode/web/start")
    );
    assert_eq!(
        String::from_utf8_lossy(&requests[0].body),
        concat!(
            r#"{"cname":"relaykeeper_0a1b2c3d_00ff_1","uid":"900000001","clientRequest":{"#,
            r#""extensionServiceConfig":{"errorHandlePolicy":"error_abort","extensionServices":["#,
            r#"{"serviceName":"web_recorder_service","errorHandlePolicy":"error_abort","serviceParam":{"#,
            r#""url":"https://r.example/recorder?channel=show&sig=51gnature","audioProfile":1,"#,
            r#""videoWidth":1280,"videoHeight":720,"videoFps":30,"videoBitrate":3000,"#,
            r#""maxRecordingHour":3,"readyTimeout":60}},"#,
            r#"{"serviceName":"rtmp_publish_service","errorHandlePolicy":"error_ignore","serviceParam":{"#,
            r#""outputs":[{"rtmpUrl":"rtmps://live.cloudflare.com:443/live/0f8e1d2c3b4a59687766554433221100k42"}]}}]},"#,
            r#""recordingFileConfig":{"avFileType":["hls"]},"#,
            r#""storageConfig":{"vendor":1,"region":2,"bucket":"bucket","accessKey":"access-k3y","#,
            r#""secretKey":"storage-s3cret","fileNamePrefix":["relaykeeper","relaykeeper0a1b2c3d00ff1"]}}}"#,
        )
    );
}

#[tokio::test]
async fn a_start_caps_the_recording_hours_and_omits_a_ready_timeout_of_zero() {
    let server = always(200, json!({ "sid": "38f8" })).await;
    let start = RecordingStartRequest {
        max_recording_hours: 900,
        ready_timeout_seconds: 0,
        ..start_request()
    };
    agora(&server)
        .cloud_recording()
        .start(permit(), &start)
        .await
        .unwrap();
    let body: Value = server.received_requests().await.unwrap()[0]
        .body_json()
        .unwrap();
    let service = &body["clientRequest"]["extensionServiceConfig"]["extensionServices"][0];
    assert_eq!(service["serviceParam"]["maxRecordingHour"], 25);
    assert_eq!(service["serviceParam"].get("readyTimeout"), None);
}

#[rstest]
#[case::started(200, json!({ "sid": "s" }), RecordingStartAnswer::Started { sid: "s".into() })]
#[case::started_before(201, json!({ "code": 7, "reason": "already started" }), RecordingStartAnswer::AlreadyStarted { sid: None })]
#[case::started_before_empty_sid(201, json!({ "code": 7, "sid": "" }), RecordingStartAnswer::AlreadyStarted { sid: None })]
#[case::started_before_with_sid(201, json!({ "code": 7, "sid": "s" }), RecordingStartAnswer::AlreadyStarted { sid: Some("s".into()) })]
#[case::runs_under_another_resource(400, json!({ "code": 53, "reason": "task conflict" }), RecordingStartAnswer::Conflict)]
#[case::code_as_text(400, json!({ "code": "53" }), RecordingStartAnswer::Conflict)]
#[case::resource_too_old(400, json!({ "code": 433, "reason": "resourceId expired" }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_of_another(400, json!({ "code": 432 }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_not_known(400, json!({ "code": 1001, "reason": "cannot parse resourceId" }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_not_known_here(500, json!({ "code": "1001" }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_too_old_as_a_failure(503, json!({ "code": 433 }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_of_another_as_forbidden(403, json!({ "code": 432 }), RecordingStartAnswer::ResourceExpired)]
#[case::resource_too_old_as_a_success(200, json!({ "code": 433 }), RecordingStartAnswer::ResourceExpired)]
#[tokio::test]
async fn each_answer_to_a_start_is_distinguished(
    #[case] status: u16,
    #[case] body: Value,
    #[case] expected: RecordingStartAnswer,
) {
    let server = always(status, body).await;
    let answer = start_egress(&agora(&server)).await.unwrap();
    assert_eq!(answer, expected);
}

#[rstest]
#[case::no_sid(200, json!({ "sid": "" }), Class::Unexpected, Done::Unknown)]
#[case::left_open(206, json!({ "code": 65, "reason": "request not completed" }), Class::Timeout, Done::Unknown)]
#[case::left_open_as_a_refusal(400, json!({ "code": 65, "reason": "request not completed" }), Class::Timeout, Done::Unknown)]
#[case::timeout_inside_as_a_refusal(400, json!({ "code": 62, "reason": "request timeout" }), Class::Timeout, Done::Unknown)]
#[case::left_open_as_forbidden(403, json!({ "code": 65 }), Class::Timeout, Done::Unknown)]
#[case::left_open_as_missing(404, json!({ "code": "65" }), Class::Timeout, Done::Unknown)]
#[case::left_open_as_too_many(429, json!({ "code": 65 }), Class::Timeout, Done::Unknown)]
#[case::left_open_as_a_failure(503, json!({ "code": 62 }), Class::Timeout, Done::Unknown)]
#[case::timeout_inside(500, json!({ "code": 62, "reason": "request timeout" }), Class::Timeout, Done::Unknown)]
#[case::no_worker(500, json!({ "code": 502, "reason": "Failed to allocate worker" }), Class::Unavailable, Done::Unknown)]
#[case::undocumented(500, json!({ "code": 15, "resourceId": "r", "sid": "" }), Class::Unavailable, Done::Unknown)]
#[case::gateway(503, json!({ "message": "failure to get a peer" }), Class::Unavailable, Done::Unknown)]
#[case::worker_not_found(404, json!({ "code": 404, "reason": "failed to find worker" }), Class::NotFound, Done::Unknown)]
#[case::bad_parameter(400, json!({ "code": 2, "reason": "bad parameter" }), Class::Rejected, Done::No)]
#[case::too_many_egresses(400, json!({ "code": 406, "reason": "vendor_over_load" }), Class::Quota, Done::No)]
#[case::too_fast_for_the_concurrency(400, json!({ "message": "QPS exceeds 10% of concurrency" }), Class::RateLimited, Done::No)]
#[case::too_fast(429, json!({ "message": "API rate limit exceeded" }), Class::RateLimited, Done::No)]
#[case::bad_credentials(401, json!({ "message": "Invalid authentication credentials" }), Class::Unauthorized, Done::No)]
#[case::a_foreign_gateway(403, json!({ "message": "Forbidden" }), Class::Unavailable, Done::Unknown)]
#[case::wrong_path(404, json!({ "message": "no Route matched with those values" }), Class::Rejected, Done::No)]
#[tokio::test]
async fn each_refusal_of_a_start_has_its_class(
    #[case] status: u16,
    #[case] body: Value,
    #[case] class: Class,
    #[case] done: Done,
) {
    let server = always(status, body.clone()).await;
    let error = start_egress(&agora(&server)).await.unwrap_err();
    assert_eq!(class_of(&error), (class, done), "{error}");
    assert_eq!(error.status, Some(status));
    let code = body["code"].as_str().and_then(|code| code.parse().ok());
    assert_eq!(error.code, body["code"].as_i64().or(code));
    if status != 200 {
        let words = body["reason"].as_str().or(body["message"].as_str());
        assert_eq!(error.message, words.unwrap_or("no reason given"));
    }
    assert_eq!(
        calls(&server).await,
        1,
        "an HTTP answer leads to no repetition"
    );
}

/// A proxy's answer, or an undocumented one of Agora's, does not prove that the call took effect.
#[rstest]
#[case::a_page("text/html", "<html>welcome</html>")]
#[case::a_page_said_to_be_json("application/json", "<!doctype html><title>One moment</title>")]
#[case::nothing("application/json", "")]
#[case::null("application/json", "null")]
#[case::an_empty_object("application/json", "{}")]
#[case::a_list("application/json", "[]")]
#[case::words("text/plain", "ok")]
#[case::a_message("application/json", r#"{"message":"ok"}"#)]
#[case::empty_names(
    "application/json",
    r#"{"resourceId":"","sid":"","converter":{"id":""}}"#
)]
#[tokio::test]
async fn a_2xx_that_is_not_the_documented_answer_leaves_every_changing_call_unknown(
    #[case] kind: &str,
    #[case] body: &str,
    #[values(200, 201, 202)] status: u16,
) {
    let server = answering(ResponseTemplate::new(status).set_body_raw(body, kind)).await;
    let agora = agora(&server);
    let (recording, push) = (agora.cloud_recording(), agora.media_push());
    let mut errors = vec![
        recording.acquire(permit(), "tag", 1, 1).await.unwrap_err(),
        recording
            .start(permit(), &start_request())
            .await
            .unwrap_err(),
        recording
            .update(permit(), &task(), &rtmp_url())
            .await
            .unwrap_err(),
        recording.stop(permit(), &task()).await.unwrap_err(),
        push.create(permit(), &converter()).await.unwrap_err(),
    ];
    // `delete` is documented without a body: only a web page is refused.
    let deleted = push.delete(permit(), "na", "c").await;
    if body.starts_with('<') {
        errors.push(deleted.unwrap_err());
    } else {
        assert_eq!(deleted.unwrap(), DeleteAnswer::Deleted);
    }
    for error in errors {
        assert_eq!(
            class_of(&error),
            (Class::Unexpected, Done::Unknown),
            "{error}"
        );
        assert_eq!(error.status, Some(status));
    }
}

#[rstest]
#[case::a_page("<html>sorry</html>")]
#[case::json_of_another(r#"{"error":"blocked"}"#)]
#[case::a_code_that_is_none(r#"{"code":null,"reason":{},"message":[]}"#)]
#[case::a_list(r#"[{"code":404,"reason":"failed to find worker"}]"#)]
#[case::cut(r#"{"code":404,"reason":"failed to"#)]
#[case::text("quota exceeded, blocked")]
#[tokio::test]
async fn an_answer_that_agora_did_not_write_proves_nothing_about_an_egress(
    #[case] body: &str,
    #[values(400, 404, 405, 409, 410, 451)] status: u16,
) {
    let server = answering(ResponseTemplate::new(status).set_body_string(body)).await;
    let agora = agora(&server);
    let (recording, push) = (agora.cloud_recording(), agora.media_push());
    for error in [
        recording.acquire(permit(), "tag", 1, 1).await.unwrap_err(),
        recording
            .start(permit(), &start_request())
            .await
            .unwrap_err(),
        recording.stop(permit(), &task()).await.unwrap_err(),
        push.create(permit(), &converter()).await.unwrap_err(),
        push.delete(permit(), "na", "c").await.unwrap_err(),
    ] {
        assert_eq!(
            class_of(&error),
            (Class::Unexpected, Done::Unknown),
            "{error}"
        );
    }
    for error in [
        recording.query(permit(), &task()).await.unwrap_err(),
        push.get(permit(), "na", "c").await.unwrap_err(),
        push.list(permit()).await.unwrap_err(),
        push.check_credentials(permit()).await.unwrap_err(),
    ] {
        assert_eq!(class_of(&error), (Class::Unexpected, Done::No), "{error}");
    }
    assert!(agora.last_success().is_none(), "it was not Agora");
}

#[tokio::test]
async fn a_404_without_agoras_body_is_no_empty_list() {
    let server = answering(ResponseTemplate::new(404)).await;
    let agora = agora(&server);
    let error = agora.media_push().list(permit()).await.unwrap_err();
    assert_eq!(error.class, Class::Unexpected);
    assert!(agora.last_success().is_none());
}

#[tokio::test]
async fn a_429_that_agora_did_not_write_is_a_rate_limit_whatever_its_text() {
    let server = answering(ResponseTemplate::new(429).set_body_string("quota exceeded")).await;
    let created = create_converter(&agora(&server)).await;
    let error = created.unwrap_err();
    assert_eq!(class_of(&error), (Class::RateLimited, Done::No));
}

#[tokio::test]
async fn an_html_page_refuses_no_credentials_and_proves_nothing_about_an_object() {
    for (status, class) in [
        (401, Class::Unavailable),
        (403, Class::Unavailable),
        (400, Class::Unexpected),
        (404, Class::Unexpected),
        (409, Class::Unexpected),
    ] {
        let server =
            answering(ResponseTemplate::new(status).set_body_string("<html>One moment</html>"))
                .await;
        let agora = agora(&server);
        let (recording, push) = (agora.cloud_recording(), agora.media_push());
        for error in [
            recording.stop(permit(), &task()).await.unwrap_err(),
            recording
                .start(permit(), &start_request())
                .await
                .unwrap_err(),
            push.delete(permit(), "na", "c").await.unwrap_err(),
        ] {
            assert_eq!(class_of(&error), (class, Done::Unknown), "{error}");
        }
        let error = push.check_credentials(permit()).await.unwrap_err();
        assert_eq!(error.class, class);
    }
}

#[tokio::test]
async fn the_retry_after_of_a_refusal_is_read() {
    let server = answering(ResponseTemplate::new(429).insert_header("Retry-After", "7")).await;
    let error = query_egress(&agora(&server)).await.unwrap_err();
    assert_eq!(error.class, Class::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_excessive_wait_pauses_calls_for_five_minutes_at_most() {
    for absurd in [
        "4294967295",
        "18446744073709551615",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let server =
            answering(ResponseTemplate::new(429).insert_header("Retry-After", absurd)).await;
        let agora = agora(&server);
        let asked = query_egress(&agora).await;
        let most = Duration::from_secs(300);
        assert_eq!(asked.unwrap_err().retry_after, Some(most), "{absurd}");
        let budgets = agora.budgets();
        let paused = budgets.iter().find_map(|budget| budget.paused_for).unwrap();
        assert!(paused <= most, "{paused:?}");
    }
}

fn status_body(status: Value, services: Value) -> Value {
    json!({ "cname": "tag", "uid": "900000001", "resourceId": "res", "sid": "sid1",
            "serverResponse": { "status": status, "extensionServiceState": services } })
}

fn web(state: &str) -> Value {
    json!({ "serviceName": "web_recorder_service", "payload": { "state": state, "onhold": false } })
}

fn push(state: &str, output: &str) -> Value {
    json!({ "serviceName": "rtmp_publish_service", "payload": { "state": state,
            "outputs": [{ "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{KEY}"), "status": output }] } })
}

#[rstest]
#[case::publishing(json!(5), json!([web("inProgress"), push("inProgress", "publishing")]), false, Some(OutputStatus::Publishing))]
#[case::another_order(json!("4"), json!([push("inProgress", "connecting"), web("init")]), false, Some(OutputStatus::Connecting))]
#[case::push_dead_task_fine(json!(5), json!([web("inProgress"), push("inProgress", "disconnected")]), false, Some(OutputStatus::Disconnected))]
#[case::push_service_over(json!(5), json!([web("inProgress"), push("exit", "publishing")]), false, Some(OutputStatus::Disconnected))]
#[case::paused(json!(5), json!([web("inProgress"), push("inProgress", "onhold")]), false, Some(OutputStatus::OnHold))]
#[case::new_word(json!(5), json!([web("inProgress"), push("inProgress", "resting")]), false, Some(OutputStatus::Unknown))]
#[case::page_over(json!(5), json!([push("inProgress", "publishing"), web("exit")]), true, Some(OutputStatus::Publishing))]
#[case::abnormal_exit(json!(20), json!([]), true, None)]
#[case::just_started(json!(2), json!(null), false, None)]
#[tokio::test]
async fn an_egress_is_judged_by_its_output(
    #[case] status: Value,
    #[case] services: Value,
    #[case] recorder_exited: bool,
    #[case] output: Option<OutputStatus>,
) {
    let server = MockServer::start().await;
    let service_status = status
        .as_i64()
        .or(status.as_str().map(|s| s.parse().unwrap()));
    Mock::given(method("GET"))
        .and(path(format!(
            "{RECORDING}/resourceid/res/sid/sid1/mode/web/query"
        )))
        .respond_with(ResponseTemplate::new(200).set_body_json(status_body(status, services)))
        .mount(&server)
        .await;
    let answer = query_egress(&agora(&server)).await.unwrap();
    let expected = RecordingTaskStatus {
        service_status,
        recorder_exited,
        output,
    };
    assert_eq!(answer, RecordingQueryAnswer::Found(expected));
}

#[tokio::test]
async fn an_egress_that_is_not_found_is_an_answer_and_no_error() {
    let server = always(
        404,
        json!({ "code": 404, "reason": "failed to find worker" }),
    )
    .await;
    let agora = agora(&server);
    let recording = agora.cloud_recording();
    let failed_over = false;
    assert_eq!(
        recording.query(permit(), &task()).await.unwrap(),
        RecordingQueryAnswer::NotFound { failed_over }
    );
    assert_eq!(
        recording.stop(permit(), &task()).await.unwrap(),
        RecordingStopAnswer::NotFound { failed_over }
    );
    assert_eq!(
        recording
            .update(permit(), &task(), &rtmp_url())
            .await
            .unwrap(),
        RecordingUpdateAnswer::NotFound { failed_over }
    );
}

#[tokio::test]
async fn an_update_names_the_new_output() {
    let server = MockServer::start().await;
    let url = format!("rtmps://live.cloudflare.com:443/live/{KEY}");
    Mock::given(method("POST"))
        .and(path(format!(
            "{RECORDING}/resourceid/res/sid/sid1/mode/web/update"
        )))
        .and(body_json(json!({
            "cname": "tag", "uid": "900000001",
            "clientRequest": { "rtmpPublishConfig": { "outputs": [{ "rtmpUrl": url }] } },
        })))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "sid": "sid1" })))
        .mount(&server)
        .await;
    let answer = agora(&server)
        .cloud_recording()
        .update(permit(), &task(), &rtmp_url())
        .await
        .unwrap();
    assert_eq!(answer, RecordingUpdateAnswer::Updated);
}

#[rstest]
#[case::stopped(200, json!({ "serverResponse": { "extensionServiceState": [] } }))]
#[case::stopped_at_once(200, json!({ "cname": "tag", "uid": "900000001", "resourceId": "res", "sid": "sid1" }))]
#[case::nothing_recorded(206, json!({ "code": 435, "reason": "no recorded data" }))]
#[case::was_stopping(400, json!({ "code": 49, "reason": "invalid operation" }))]
#[tokio::test]
async fn a_stop_does_not_wait_for_uploads_and_accepts_each_answer_that_means_stopped(
    #[case] status: u16,
    #[case] body: Value,
) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!(
            "{RECORDING}/resourceid/res/sid/sid1/mode/web/stop"
        )))
        .and(body_json(json!({
            "cname": "tag", "uid": "900000001", "clientRequest": { "async_stop": true },
        })))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .mount(&server)
        .await;
    let answer = stop_egress(&agora(&server)).await.unwrap();
    assert_eq!(answer, RecordingStopAnswer::Stopped);
}

#[rstest]
#[case(206, json!({ "code": 65 }), Class::Timeout, Done::Unknown)]
#[case(400, json!({ "code": 65 }), Class::Timeout, Done::Unknown)]
#[case(404, json!({ "code": 62 }), Class::Timeout, Done::Unknown)]
#[case(200, json!({ "code": 500, "resourceId": "res", "sid": "sid1" }), Class::Unexpected, Done::Unknown)]
#[case(504, json!({ "code": 62 }), Class::Timeout, Done::Unknown)]
#[case(400, json!({ "code": 2 }), Class::Rejected, Done::No)]
#[tokio::test]
async fn a_stop_that_agora_does_not_confirm_is_an_error(
    #[case] status: u16,
    #[case] body: Value,
    #[case] class: Class,
    #[case] done: Done,
) {
    let server = always(status, body).await;
    let error = stop_egress(&agora(&server)).await.unwrap_err();
    assert_eq!(class_of(&error), (class, done));
}
