//! Cloud Recording tasks and their pages.

use std::time::Duration;

use relaykeeper::sandbox::Options;
use reqwest::Method;
use serde_json::json;
use wiremock::MockServer;

use super::support::*;

#[tokio::test]
async fn a_start_with_any_invalid_field_is_refused() {
    let sandbox = Sandbox::start(fast());
    let good = start_body("relay", "http://127.0.0.1:9/recorder", "rtmps://x/y", 0);
    let web = "/clientRequest/extensionServiceConfig/extensionServices/0";
    let push = "/clientRequest/extensionServiceConfig/extensionServices/1";
    let wrong = [
        ("/cname".to_owned(), json!("other")),
        ("/uid".to_owned(), json!(900000001)),
        (format!("{web}/serviceName"), json!("web_recorder")),
        (format!("{web}/errorHandlePolicy"), json!("error_ignore")),
        (format!("{web}/serviceParam/url"), json!("page")),
        (format!("{web}/serviceParam/audioProfile"), json!(3)),
        (format!("{web}/serviceParam/videoWidth"), json!(100)),
        (format!("{web}/serviceParam/videoHeight"), json!(1920)),
        (format!("{web}/serviceParam/maxRecordingHour"), json!(0)),
        (format!("{web}/serviceParam/readyTimeout"), json!(61)),
        (format!("{push}/serviceName"), json!("rtmp_publish")),
        (format!("{push}/errorHandlePolicy"), json!("error_abort")),
        (format!("{push}/serviceParam/outputs"), json!([])),
        (
            format!("{push}/serviceParam/outputs/0/rtmpUrl"),
            json!("https://x"),
        ),
        (
            "/clientRequest/recordingFileConfig".to_owned(),
            json!({"avFileType": ["mp4"]}),
        ),
        ("/clientRequest/storageConfig/bucket".to_owned(), json!("")),
        (
            "/clientRequest/storageConfig/secretKey".to_owned(),
            json!(null),
        ),
        ("/clientRequest/storageConfig/vendor".to_owned(), json!(4)),
    ];
    for (pointer, value) in wrong {
        let mut body = good.clone();
        *body.pointer_mut(&pointer).unwrap() = value.clone();
        let resource = sandbox.acquire("relay").await;
        let (status, answer) = sandbox.start_on(&resource, &body).await;
        assert_eq!(status, 400, "{pointer} = {value}: {answer}");
        assert!(answer["code"].is_number() && answer["reason"].is_string());
    }
    assert!(sandbox.vendors.state().egresses.is_empty());
}

#[tokio::test]
async fn a_resource_id_is_good_for_one_start_and_a_cname_and_uid_for_one_task() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let body = start_body(
        "relay",
        &format!("{}/recorder?a=b", page.uri()),
        "rtmps://x/y",
        0,
    );
    let start = async |resource: &str| sandbox.start_on(resource, &body).await;
    let resource = sandbox.acquire("relay").await;
    let second = sandbox.acquire("relay").await;
    assert_eq!(start(&resource).await.0, 200);
    let (status, again) = start(&resource).await;
    assert_eq!((status, &again["code"]), (201, &json!(7)));
    assert!(again.get("sid").is_none());
    let (status, conflict) = start(&second).await;
    assert_eq!((status, &conflict["code"]), (400, &json!(53)));
    let (status, unknown) = start("nothing").await;
    assert_eq!((status, &unknown["code"]), (400, &json!(1001)));
}

#[tokio::test]
async fn a_late_start_and_an_expired_resource_are_refused() {
    let body = start_body("relay", "http://127.0.0.1:9/recorder", "rtmps://x/y", 0);
    for (options, code, kinds) in [
        (
            Options {
                start_within: Duration::ZERO,
                ..fast()
            },
            2,
            vec!["start_too_late"],
        ),
        (
            Options {
                resource_lifetime: Duration::ZERO,
                ..fast()
            },
            433,
            vec![],
        ),
    ] {
        let sandbox = Sandbox::start(options);
        let resource = sandbox.acquire("relay").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let (status, late) = sandbox.start_on(&resource, &body).await;
        assert_eq!((status, &late["code"]), (400, &json!(code)));
        assert_eq!(sandbox.violations(), kinds);
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_loaded_ends_the_task() {
    let sandbox = Sandbox::start(uncertified());
    let page = MockServer::start().await;
    for url in [
        format!("{}/recorder?a=b", page.uri()),
        "http://127.0.0.1:9/recorder".to_owned(),
    ] {
        let task = sandbox.start_task("relay", &url, "rtmps://x/y", 0).await;
        sandbox.until_ended(&task).await;
    }
    let opened = page.received_requests().await.unwrap();
    assert!(
        opened[0].headers["user-agent"]
            .to_str()
            .unwrap()
            .contains("Chrome/")
    );
}

#[tokio::test]
async fn a_page_whose_seller_never_comes_is_reloaded_once_and_then_the_task_ends() {
    let sandbox = Sandbox::start(Options {
        sellers_present: false,
        ..uncertified()
    });
    let page = page(&sandbox.vendors, false).await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 20).await;
    sandbox.until_ended(&task).await;
    assert_eq!(sandbox.vendors.state().egresses[0].page_loads, 2);
    assert_eq!(
        posts(&page, "/recorder/presence").await[0]["present"],
        false
    );
}

#[tokio::test]
async fn presence_is_reported_on_change_and_the_feed_goes_on_without_the_seller() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let (uid, rtmp) = sandbox.live_input().await;
    let task = sandbox.start_page(&page, &rtmp, 20).await;
    sandbox.until_live(&uid).await;
    sandbox.vendors.set_seller("show68", Some(12345), false);
    until("reported", || async {
        posts(&page, "/recorder/presence").await.last().unwrap()["present"] == false
    })
    .await;
    assert_eq!(sandbox.output(&task).await, "publishing");
    let count = posts(&page, "/recorder/presence").await.len();
    until("a heartbeat", || async {
        posts(&page, "/recorder/presence").await.len() > count
    })
    .await;
    let fallback = sandbox.vendors.agora_fallback_base_url();
    let poll = || send(sandbox.hosts(&fallback, "show68"));
    assert_eq!(
        poll().await.1,
        json!({"success": true, "data": {"channel_exist": true, "mode": 2, "broadcasters": []}})
    );
    sandbox.vendors.set_seller("show68", Some(12345), true);
    assert_eq!(poll().await.1["data"]["broadcasters"], json!([12345]));
}

#[tokio::test]
async fn a_page_that_is_told_to_leave_reports_no_more() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, true).await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 0).await;
    until("refused by the ingest", || async {
        sandbox.output(&task).await == "disconnected"
    })
    .await;
    sandbox.vendors.set_seller("show68", None, false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(posts(&page, "/recorder/presence").await.len(), 1);
    assert_eq!(
        sandbox.query(&task).await.1["serverResponse"]["status"],
        5,
        "the task itself goes on"
    );
}

#[tokio::test]
async fn a_page_with_an_invalid_token_is_never_ready() {
    let sandbox = Sandbox::start(fast());
    let page = page(&sandbox.vendors, false).await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 20).await;
    sandbox.until_ended(&task).await;
    assert_eq!(sandbox.violations(), ["token_refused", "token_refused"]);
}

#[tokio::test]
async fn a_task_that_dies_is_not_found_until_it_is_back_under_another_uid() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let (uid, rtmp) = sandbox.live_input().await;
    let task = sandbox.start_page(&page, &rtmp, 0).await;
    sandbox.until_live(&uid).await;
    assert!(
        sandbox
            .vendors
            .kill(&task.sid, Some(Duration::from_secs(60)))
    );
    sandbox.until_ended(&task).await;
    assert_eq!(sandbox.stop(&task).await.0, 404);
    until("back", || async { sandbox.query(&task).await.0 == 200 }).await;
    assert_ne!(
        sandbox.vendors.state().egresses[0].uid.as_deref(),
        Some("900000001")
    );
    sandbox.until_live(&uid).await;
    assert_eq!(sandbox.stop(&task).await.0, 200);
}

#[tokio::test]
async fn a_stop_before_anything_was_recorded_answers_206() {
    let sandbox = Sandbox::start(Options {
        sellers_present: false,
        ..uncertified()
    });
    let page = page(&sandbox.vendors, false).await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 60).await;
    let (status, body) = sandbox.stop(&task).await;
    assert_eq!((status, &body["code"]), (206, &json!(435)));
}

#[tokio::test]
async fn a_push_can_be_updated_to_another_address() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let (uid, rtmp) = sandbox.live_input().await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 0).await;
    until("refused", || async {
        sandbox.output(&task).await == "disconnected"
    })
    .await;
    let body = json!({"cname": "relay", "uid": "900000001", "clientRequest": {"rtmpPublishConfig": {"outputs": [{"rtmpUrl": rtmp}]}}});
    assert_eq!(
        send(
            sandbox
                .recording(Method::POST, &format!("{}/update", task.path))
                .json(&body)
        )
        .await
        .0,
        200
    );
    sandbox.until_live(&uid).await;
}

#[tokio::test]
async fn a_task_that_is_never_stopped_ends_after_its_maximum_hours() {
    // An hour in a request is 5 simulated seconds.
    let options = Options {
        wire_speed: Some(36_000.0),
        ..uncertified()
    };
    let sandbox = Sandbox::start(options);
    let page = page(&sandbox.vendors, false).await;
    let task = sandbox.start_page(&page, "rtmps://x/y", 0).await;
    sandbox.until_ended(&task).await;
    assert_eq!(sandbox.stop(&task).await.0, 404);
}

#[tokio::test]
async fn a_dead_application_does_not_end_a_task_that_is_pushing() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let (uid, rtmp) = sandbox.live_input().await;
    let task = sandbox.start_page(&page, &rtmp, 20).await;
    sandbox.until_live(&uid).await;
    drop(page);
    sandbox.vendors.set_seller("show68", None, false);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sandbox.output(&task).await, "publishing");
    assert_eq!(sandbox.lifecycle(&uid).await["live"], true);
}
