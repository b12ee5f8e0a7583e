use super::*;

#[tokio::test]
async fn a_transcoded_converter_is_sized_for_cloudflare_and_each_call_has_an_id_of_its_own() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/na/v1/projects/app/rtmp-converters"))
        .and(body_json(json!({ "converter": {
            "name": "relaykeeper_0a1b2c3d_00ff_1",
            "transcodeOptions": {
                "rtcChannel": "show68",
                "audioOptions": { "codecProfile": "LC-AAC", "sampleRate": 48000, "bitrate": 128,
                                  "audioChannels": 2, "rtcStreamUids": [201] },
                "videoOptions": {
                    "canvas": { "width": 1280, "height": 720, "color": 0 },
                    "layoutType": 0,
                    "layout": [{ "rtcStreamUid": 201, "fillMode": "fit",
                                 "region": { "xPos": 0, "yPos": 0, "zIndex": 1, "width": 1280, "height": 720 } }],
                    "codec": "H.264", "codecProfile": "main", "frameRate": 30, "gop": 120, "bitrate": 3420 } },
            "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{KEY}"),
            "idleTimeout": 240 } })))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({
            "converter": { "id": "4c01", "createTs": 1591786766, "updateTs": 1591786766, "state": "connecting" },
            "fields": "id,createTs,updateTs,state" })))
        .expect(2)
        .mount(&server)
        .await;
    let agora = agora(&server);
    for _ in 0..2 {
        let answer = create_converter(&agora).await.unwrap();
        let expected = CreateAnswer::Created {
            converter_id: "4c01".into(),
            state: ConverterState::Connecting,
        };
        assert_eq!(answer, expected);
    }
    let requests = server.received_requests().await.unwrap();
    let ids = [0, 1].map(|n: usize| requests[n].headers["x-request-id"].clone());
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 36);
}

#[tokio::test]
async fn a_raw_converter_carries_the_sellers_stream_as_it_is() {
    let server = MockServer::start().await;
    Mock::given(body_json(json!({ "converter": {
        "name": "relaykeeper_0a1b2c3d_00ff_1",
        "rawOptions": { "rtcChannel": "show68", "rtcStreamUid": 201 },
        "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{KEY}"),
        "idleTimeout": 240 } })))
    .respond_with(
        ResponseTemplate::new(200)
            .set_body_json(json!({ "converter": { "id": "4c01", "state": "running" } })),
    )
    .expect(1)
    .mount(&server)
    .await;
    let mut settings = settings(&server.uri(), &[]);
    settings.media_push.mode = config::MediaPushMode::Raw;
    create_converter(&build(&settings)).await.unwrap();
}

#[rstest]
#[case(Some("889B"), Some("889B"))]
#[case(None, None)]
#[tokio::test]
async fn a_name_conflict_tells_the_id_of_the_converter(
    #[case] sent: Option<&str>,
    #[case] expected: Option<&str>,
) {
    let server = MockServer::start().await;
    let mut answer = ResponseTemplate::new(409)
        .set_body_json(json!({ "message": "Resource with the same name already exists" }));
    if let Some(id) = sent {
        answer = answer.insert_header("X-Resource-ID", id);
    }
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let answer = create_converter(&agora(&server)).await.unwrap();
    let converter_id = expected.map(Into::into);
    assert_eq!(answer, CreateAnswer::NameTaken { converter_id });
}

#[rstest]
#[case::rate(429, json!({ "message": "Request rate limit exceeded" }), Class::RateLimited, Done::No)]
#[case::quota(429, json!({ "message": "Resource quota limit exceeded" }), Class::Quota, Done::No)]
#[case::resources(429, json!({ "message": "No available resources" }), Class::Unavailable, Done::No)]
#[case::not_enabled(403, json!({ "reason": "No valid permission to use this function" }), Class::Unauthorized, Done::No)]
#[case::bad_parameter(400, json!({ "message": "Invalid parameter: idleTimeout" }), Class::Rejected, Done::No)]
#[case::closed(499, json!({ "message": "client closed" }), Class::Unavailable, Done::Unknown)]
#[case::failed(501, json!({ "message": "not implemented" }), Class::Unavailable, Done::Unknown)]
#[case::gateway(504, json!({ "message": "Gateway timeout" }), Class::Timeout, Done::Unknown)]
#[tokio::test]
async fn each_refusal_of_a_converter_has_its_class_and_agoras_words(
    #[case] status: u16,
    #[case] body: Value,
    #[case] class: Class,
    #[case] done: Done,
) {
    let server = always(status, body.clone()).await;
    let error = create_converter(&agora(&server)).await.unwrap_err();
    assert_eq!(class_of(&error), (class, done));
    let words = body["reason"].as_str().or(body["message"].as_str());
    assert_eq!(error.message, words.unwrap());
}

#[rstest]
#[case::wrapped(true)]
#[case::bare(false)]
#[tokio::test]
async fn a_converter_is_read_wrapped_or_bare(#[case] wrapped: bool) {
    let mut converter = json!({
        "name": "tag", "transcodeOptions": { "rtcChannel": "show68" },
        "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{KEY}"),
        "idleTimeout": "240", "createTs": "1591786766", "updateTs": 1591786766, "state": "running" });
    // Agora's bare examples have no id.
    let body = if wrapped {
        converter["id"] = "4C01".into();
        json!({ "converter": converter })
    } else {
        converter
    };
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/na/v1/projects/app/rtmp-converters/4c01"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    let answer = agora(&server)
        .media_push()
        .get(permit(), "na", "4c01")
        .await;
    let GetAnswer::Found(found) = answer.unwrap() else {
        panic!("not found");
    };
    assert!(found.is("4c01"));
    assert_eq!(found.name.as_deref(), Some("tag"));
    assert_eq!(found.channel.as_deref(), Some("show68"));
    assert_eq!(found.state, ConverterState::Running);
    assert_eq!(found.created_at.unwrap().timestamp(), 1_591_786_766);
    assert_eq!(found.idle_timeout_seconds, Some(240));
    assert!(!format!("{found:?}").contains(KEY));
    assert_eq!(
        found.rtmp_url.unwrap().expose_secret(),
        rtmp_url().expose_secret()
    );
}

#[tokio::test]
async fn a_converter_in_an_unknown_state_is_read() {
    let server = always(
        200,
        json!({ "converter": { "id": "c", "state": "resting" } }),
    )
    .await;
    let answer = agora(&server).media_push().get(permit(), "na", "c").await;
    let GetAnswer::Found(found) = answer.unwrap() else {
        panic!("not found");
    };
    assert_eq!(found.state, ConverterState::Other("resting".into()));
}

#[rstest]
#[case(json!({ "message": "ok" }))]
#[case(json!({ "converter": {} }))]
#[case(json!({ "name": "", "rtmpUrl": null, "state": 1 }))]
#[tokio::test]
async fn an_answer_without_a_converter_is_an_error(#[case] body: Value) {
    let server = always(200, body).await;
    let got = agora(&server).media_push().get(permit(), "na", "c").await;
    assert_eq!(got.unwrap_err().class, Class::Unexpected);
}

/// A GET's schema has neither `id` nor `state`; the list has both.
#[rstest]
#[case::wrapped(json!({ "converter": { "name": "tag", "rawOptions": { "rtcChannel": "show68" },
    "rtmpUrl": "rtmps://x/y", "idleTimeout": 240 } }), "/channels/show68/rtmp-converters")]
#[case::bare(json!({ "name": "tag", "transcodeOptions": { "rtcChannel": "show68" },
    "rtmpUrl": "rtmps://x/y", "idleTimeout": "240" }), "/channels/show68/rtmp-converters")]
#[case::only_a_url(json!({ "converter": { "rtmpUrl": "rtmps://x/y" } }), "/rtmp-converters")]
#[case::only_a_name(json!({ "name": "tag" }), "/rtmp-converters")]
#[tokio::test]
async fn a_state_that_a_get_does_not_tell_is_taken_from_the_list(
    #[case] body: Value,
    #[case] list: &str,
) {
    let server = MockServer::start().await;
    Mock::given(path("/na/v1/projects/app/rtmp-converters/4c01"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    let member =
        |id: &str, state: &str| json!({ "converterId": id, "converterName": "n", "state": state });
    let members = json!([member("4C02", "failed"), member("4C01", "running")]);
    Mock::given(path(format!("/v1/projects/app{list}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(
            json!({ "success": true, "data": { "total_count": "2", "cursor": 0.0, "members": members } }),
        ))
        .expect(1)
        .mount(&server)
        .await;
    let agora = agora(&server);
    let push = agora.media_push();
    let GetAnswer::Found(got) = push.get(permit(), "na", "4c01").await.unwrap() else {
        panic!("not found");
    };
    assert_eq!(
        (got.id.as_str(), &got.state),
        ("4c01", &ConverterState::Absent)
    );
    let GetAnswer::Found(polled) = push.poll(permit(), "na", "4c01").await.unwrap() else {
        panic!("not found");
    };
    assert_eq!(polled.state, ConverterState::Running);
}

#[tokio::test]
async fn a_converter_whose_state_is_not_in_the_list_either_is_still_there() {
    let server = MockServer::start().await;
    Mock::given(path("/na/v1/projects/app/rtmp-converters/4c01"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "name": "tag" })))
        .mount(&server)
        .await;
    Mock::given(path("/v1/projects/app/rtmp-converters"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({ "data": { "members": [] } })),
        )
        .mount(&server)
        .await;
    let polled = agora(&server)
        .media_push()
        .poll(permit(), "na", "4c01")
        .await
        .unwrap();
    assert!(matches!(polled, GetAnswer::Found(found) if found.state == ConverterState::Absent));
}

#[tokio::test]
async fn a_converter_that_is_not_found_is_an_answer_and_no_error() {
    let server = always(
        404,
        json!({ "reason": "Resource is not found and destroyed." }),
    )
    .await;
    let agora = agora(&server);
    let got = agora.media_push().get(permit(), "na", "c").await.unwrap();
    assert!(matches!(got, GetAnswer::NotFound { failed_over: false }));
    assert_eq!(
        agora
            .media_push()
            .delete(permit(), "na", "c")
            .await
            .unwrap(),
        DeleteAnswer::NotFound { failed_over: false }
    );
}

#[tokio::test]
async fn a_delete_is_done_with_any_2xx() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path("/eu/v1/projects/app/rtmp-converters/c"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    assert_eq!(
        agora(&server)
            .media_push()
            .delete(permit(), "eu", "c")
            .await
            .unwrap(),
        DeleteAnswer::Deleted
    );
}

fn member(n: u32) -> Value {
    json!({ "rtcChannel": "show68", "status": "200", "converterName": format!("tag-{n}"), "updateTs": "1641267823",
            "appId": "app", "rtmpUrl": format!("rtmps://live.cloudflare.com:443/live/{KEY}"), "ip": "192.0.2.1",
            "converterId": format!("889B{n}"), "create": "1641267818", "idleTimeout": "120", "state": "running" })
}

#[rstest]
#[case::numbers(json!(2), json!(0))]
#[case::texts(json!("2"), json!("0"))]
#[tokio::test]
async fn a_list_is_read_to_its_last_page(#[case] next: Value, #[case] end: Value) {
    let server = MockServer::start().await;
    for base in ["", "/channels/a%26b"] {
        let base = format!("/v1/projects/app{base}/rtmp-converters");
        let page = |cursor: &Value, n| {
            ResponseTemplate::new(200).set_body_json(json!({ "success": true,
                "data": { "total_count": "2", "cursor": cursor, "members": [member(n)] } }))
        };
        Mock::given(path(&base))
            .and(query_param_is_missing("cursor"))
            .respond_with(page(&next, 1))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(path(&base))
            .and(query_param("cursor", "2"))
            .respond_with(page(&end, 2))
            .expect(1)
            .mount(&server)
            .await;
    }
    let agora = agora(&server);
    let project = agora.media_push().list(permit()).await.unwrap();
    let channel = agora
        .media_push()
        .list_channel(permit(), "a&b")
        .await
        .unwrap();
    for list in [project, channel] {
        assert!(!list.may_be_cut);
        let found = list.converters;
        let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["889B1", "889B2"]);
        assert!(found[0].is("889b1"));
        assert_eq!(found[0].name.as_deref(), Some("tag-1"));
        assert_eq!(found[0].channel.as_deref(), Some("show68"));
        assert_eq!(found[0].created_at.unwrap().timestamp(), 1_641_267_818);
    }
}

#[tokio::test]
async fn an_empty_list_is_read() {
    for body in [
        json!({ "success": true, "data": { "total_count": 0, "cursor": 0, "members": [] } }),
        json!({ "success": true, "data": { "total_count": 0, "cursor": null, "members": null } }),
    ] {
        let server = always(200, body).await;
        let list = agora(&server).media_push().list(permit()).await.unwrap();
        assert!(list.converters.is_empty() && !list.may_be_cut);
    }
}

#[tokio::test]
async fn a_member_that_cannot_be_read_hides_no_other_and_the_list_counts_as_cut() {
    let members = json!([null, member(1), "alice", { "state": "running" }, member(2)]);
    let body = json!({ "success": true, "data": { "cursor": 0, "members": members } });
    let server = always(200, body).await;
    let list = agora(&server).media_push().list(permit()).await.unwrap();
    let ids: Vec<_> = list.converters.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((ids, list.may_be_cut), (vec!["889B1", "889B2"], true));
}

#[rstest]
#[case::failed(json!({ "success": false, "data": { "members": [] } }))]
#[case::no_members(json!({ "success": true, "data": {} }))]
#[case::endless(json!({ "success": true, "data": { "cursor": 7, "members": [] } }))]
#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_is_an_error(#[case] body: Value) {
    let server = always(200, body).await;
    let error = agora(&server)
        .media_push()
        .list(permit())
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Unexpected);
}

#[rstest]
#[case(200, true)]
#[case(403, true)]
#[case(404, true)]
#[case(401, false)]
#[case(500, false)]
#[tokio::test]
async fn a_403_and_a_404_prove_credentials_and_a_401_and_a_500_do_not(
    #[case] status: u16,
    #[case] good: bool,
) {
    let server = always(status, json!({ "message": "m" })).await;
    let agora = agora(&server);
    let checked = agora.media_push().check_credentials(permit()).await;
    assert_eq!(checked.is_ok(), good);
    assert_eq!(agora.last_success().is_some(), good);
}
