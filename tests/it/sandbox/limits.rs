//! Agora's refusals, quotas and lists.

use std::time::Duration;

use relaykeeper::sandbox::{Options, Quotas};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::*;

#[tokio::test]
async fn agora_refuses_invalid_credentials_and_unknown_routes() {
    let sandbox = Sandbox::start(fast());
    let url = format!(
        "{}/v1/apps/{}/cloud_recording/acquire",
        sandbox.vendors.agora_base_url(),
        sandbox.vendors.agora_app_id()
    );
    let (status, body) = send(sandbox.http.post(&url).basic_auth("a", Some("b"))).await;
    assert_eq!(
        (status, &body["message"]),
        (401, &json!("Invalid authentication credentials"))
    );
    assert_eq!(send(sandbox.recording(Method::GET, "acquire")).await.0, 404);
    assert_eq!(
        send(sandbox.push(Method::POST, "/NA", "/rtmp-converters"))
            .await
            .0,
        404,
        "regions are lower case"
    );
}

#[tokio::test]
async fn quotas_answer_as_agora_does() {
    let quotas = Quotas {
        hosts_per_second: 1,
        max_egresses: 0,
        max_converters: 1,
        ..Quotas::default()
    };
    let sandbox = Sandbox::start(Options {
        quotas,
        speed: 1.0,
        latency: Duration::ZERO,
        acquire_latency: Duration::ZERO,
        start_latency: Duration::ZERO,
        ..fast()
    });
    let body = json!({"cname": "c", "uid": "1", "clientRequest": {"scene": 1}});
    let (status, full) = send(sandbox.recording(Method::POST, "acquire").json(&body)).await;
    assert_eq!((status, &full["code"]), (400, &json!(406)));
    let create = async |name: &str| sandbox.create_converter(name, "rtmps://x/y").await;
    assert_eq!((create("a").await.0, create("b").await.0), (200, 429));
    let base_url = sandbox.vendors.agora_base_url();
    let poll = || send(sandbox.hosts(&base_url, "c"));
    assert_eq!((poll().await.0, poll().await.0), (200, 429));
    assert_eq!(
        sandbox.violations(),
        ["egresses_passed", "converters_passed", "quota_passed"]
    );
}

#[tokio::test]
async fn a_converter_with_any_invalid_field_is_refused_and_so_is_an_app_without_media_push() {
    let sandbox = Sandbox::start(fast());
    let options = "/converter/transcodeOptions";
    for (pointer, value) in [
        ("/converter/name".to_owned(), json!("a b")),
        ("/converter/rtmpUrl".to_owned(), json!("https://x")),
        (format!("{options}/rtcChannel"), json!("")),
        (
            format!("{options}/audioOptions/rtcStreamUids"),
            json!(["7"]),
        ),
        (format!("{options}/videoOptions/bitrate"), json!(10_001)),
        (format!("{options}/videoOptions/frameRate"), json!(31)),
        (
            format!("{options}/videoOptions/layout/0/region/width"),
            json!(1281),
        ),
        (options.to_owned(), json!({"rtcChannel": "c"})),
    ] {
        let mut body = converter("n", "rtmps://x/y");
        *body.pointer_mut(&pointer).unwrap() = value;
        assert_eq!(
            send(
                sandbox
                    .push(Method::POST, "/na", "/rtmp-converters")
                    .json(&body)
            )
            .await
            .0,
            400,
            "{pointer}"
        );
    }
    // Unknown properties.
    for (pointer, key, value) in [
        ("/converter", "idleTimeOut", json!(20)),
        (
            "/converter/transcodeOptions/videoOptions",
            "codecProfile",
            json!("High"),
        ),
    ] {
        let mut body = converter("n", "rtmps://x/y");
        body.pointer_mut(pointer).unwrap()[key] = value;
        let create = sandbox.push(Method::POST, "/na", "/rtmp-converters");
        assert_eq!(send(create.json(&body)).await.0, 400, "{key}");
    }
    let mut both = converter("n", "rtmps://x/y");
    both["converter"]["rawOptions"] = json!({"rtcChannel": "c", "rtcStreamUid": 7});
    assert_eq!(
        send(
            sandbox
                .push(Method::POST, "/na", "/rtmp-converters")
                .json(&both)
        )
        .await
        .0,
        400
    );
    let sandbox = Sandbox::start(Options {
        media_push_enabled: false,
        ..fast()
    });
    let (status, body) = sandbox.create_converter("n", "rtmps://x/y").await;
    assert_eq!(status, 403);
    assert!(body["reason"].is_string());
}

#[tokio::test]
async fn a_cname_has_128_bytes_at_most() {
    let sandbox = Sandbox::start(fast());
    for (length, wanted) in [(128, 200), (129, 400)] {
        let body = json!({"cname": "c".repeat(length), "uid": "1", "clientRequest": {"scene": 1}});
        let (status, answer) = send(sandbox.recording(Method::POST, "acquire").json(&body)).await;
        assert_eq!(status, wanted, "{length}: {answer}");
    }
}

#[tokio::test]
async fn a_missing_converter_is_told_in_reason_to_a_get_and_in_message_to_other_methods() {
    let sandbox = Sandbox::start(fast());
    for (method, member) in [(Method::GET, "reason"), (Method::DELETE, "message")] {
        let request = sandbox.push(method, "/na", "/rtmp-converters/none");
        let (status, answer) = send(request).await;
        assert_eq!(status, 404);
        assert!(answer[member].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn the_stream_webhook_is_set_and_returned_under_its_documented_name_only() {
    let sandbox = Sandbox::start(fast());
    let put = |body| send(sandbox.cloudflare(Method::PUT, "/webhook").json(&body));
    let (status, _) = put(json!({"notification_url": "https://a.example/"})).await;
    assert_eq!(status, 400);
    let (status, answer) = put(json!({"notificationUrl": "https://a.example/"})).await;
    assert_eq!(status, 200);
    let members: Vec<&String> = answer["result"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["modified", "notificationUrl", "secret"]);
}

#[tokio::test]
async fn a_list_of_converters_comes_in_pages() {
    let sandbox = Sandbox::start(Options {
        converter_page_size: 2,
        ..fast()
    });
    for name in ["a", "b", "c"] {
        sandbox.create_converter(name, "rtmps://x/y").await;
    }
    let (_, first) = send(sandbox.push(Method::GET, "", "/rtmp-converters")).await;
    assert_eq!(
        (
            &first["data"]["cursor"],
            first["data"]["members"].as_array().unwrap().len()
        ),
        (&json!(2), 2)
    );
    let (_, last) = send(sandbox.push(Method::GET, "", "/rtmp-converters?cursor=2")).await;
    assert_eq!(
        (
            &last["data"]["cursor"],
            last["data"]["members"].as_array().unwrap().len()
        ),
        (&json!(0), 1)
    );
}

#[tokio::test]
async fn an_update_of_a_converter_needs_a_mask_and_a_growing_sequence() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    let create = sandbox.push(Method::POST, "/na", "/rtmp-converters");
    let (_, created) = send(create.json(&converter("n", "rtmps://x/y"))).await;
    let path = format!(
        "/rtmp-converters/{}",
        created["converter"]["id"].as_str().unwrap()
    );
    let patch = |query: &str, body: Value| {
        send(
            sandbox
                .push(Method::PATCH, "/na", &format!("{path}{query}"))
                .json(&body),
        )
    };
    let body = json!({"converter": {"rtmpUrl": rtmp}, "fields": "rtmpUrl"});
    assert_eq!(patch("", body.clone()).await.0, 400);
    assert_eq!(
        patch(
            "?sequence=1",
            json!({"converter": {"name": "m"}, "fields": "name"})
        )
        .await
        .0,
        400
    );
    assert_eq!(patch("?sequence=1", body.clone()).await.0, 200);
    assert_eq!(patch("?sequence=1", body).await.0, 400);
    sandbox.until_live(&uid).await;
}

#[tokio::test]
async fn a_changed_quota_counts_anew_and_no_other_does() {
    let quotas = Quotas {
        cloudflare_requests: 2,
        ..Quotas::default()
    };
    let sandbox = Sandbox::start(Options { quotas, ..fast() });
    let poll = || async {
        send(sandbox.cloudflare(Method::GET, "/live_inputs"))
            .await
            .0
    };
    let set = |quotas: Value| {
        let url = format!("{}/control/quotas", sandbox.vendors.control_url());
        send(sandbox.http.put(url).json(&quotas))
    };
    assert_eq!((poll().await, poll().await, poll().await), (200, 200, 429));
    for same in [
        json!({"hosts_per_second": 1}),
        json!({"cloudflare_requests": 2}),
    ] {
        assert_eq!(set(same.clone()).await.0, 200);
        assert_eq!(poll().await, 429, "{same}");
    }
    let refused = set(json!({"cloudflare_requests": 9, "no_quota": 1})).await;
    assert_eq!((refused.0, poll().await), (400, 429), "all or nothing");
    assert_eq!(set(json!({"cloudflare_requests": 3})).await.0, 200);
    assert_eq!((poll().await, poll().await, poll().await), (200, 200, 200));
    assert_eq!(poll().await, 429);
    assert_eq!(sandbox.violations(), ["quota_passed", "quota_passed"]);
}

#[tokio::test]
async fn a_converters_name_and_place_are_free_when_it_is_destroyed() {
    let quotas = Quotas {
        max_converters: 2,
        ..Quotas::default()
    };
    let sandbox = Sandbox::start(Options { quotas, ..fast() });
    let create = async |name: &str| sandbox.create_converter(name, "rtmps://x/y").await;
    let id = |created: &Value| created["converter"]["id"].as_str().unwrap().to_owned();
    let (_, first) = create("a").await;
    assert_eq!((create("a").await.0, create("b").await.0), (409, 200));
    assert_eq!(create("c").await.0, 429);
    let path = format!("/rtmp-converters/{}", id(&first));
    assert_eq!(
        send(sandbox.push(Method::DELETE, "/na", &path)).await.0,
        200
    );
    let (status, again) = create("a").await;
    assert_eq!((status, create("c").await.0), (200, 429));
    assert!(sandbox.vendors.kill(&id(&again), None));
    assert_eq!((create("a").await.0, create("a").await.0), (200, 409));
}
