//! A broadcast on both backends, from the encoder's connection to the recording.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn a_web_egress_brings_a_channel_on_air_and_leaves_a_recording() {
    let sandbox = Sandbox::start(uncertified());
    let page = page(&sandbox.vendors, false).await;
    let (uid, rtmp) = sandbox.live_input().await;
    assert_eq!(sandbox.manifest(&uid).await, (204, String::new()));
    assert_eq!(
        sandbox.lifecycle(&uid).await,
        json!({"isInput": true, "videoUID": null, "live": false})
    );
    let task = sandbox
        .start_task(
            "relay-1",
            &format!("{}/recorder?channel=show68&sig=a%2Bb", page.uri()),
            &rtmp,
            20,
        )
        .await;
    until("connected, not yet playable", || async {
        let (_, input) =
            send(sandbox.cloudflare(Method::GET, &format!("/live_inputs/{uid}"))).await;
        input["result"]["status"]["current"]["state"] == "connected"
    })
    .await;
    assert_eq!(sandbox.manifest(&uid).await.0, 204);
    sandbox.until_live(&uid).await;
    assert_eq!(sandbox.output(&task).await, "publishing");
    assert_eq!(sandbox.query(&task).await.1["serverResponse"]["status"], 5);
    let video = sandbox.lifecycle(&uid).await["videoUID"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(sandbox.manifest(&uid).await.1.starts_with("#EXTM3U"));
    let before = sandbox.playlist(&uid).await;
    until("the picture moves", || async {
        sandbox.playlist(&uid).await != before
    })
    .await;
    let (_, running) = send(sandbox.cloudflare(Method::GET, &format!("/{video}"))).await;
    assert_eq!(
        (
            &running["result"]["status"]["state"],
            &running["result"]["duration"]
        ),
        (&json!("live-inprogress"), &json!(-1))
    );
    let (status, refused) = send(sandbox.cloudflare(Method::DELETE, &format!("/{video}"))).await;
    assert_eq!(
        (status, &refused["errors"][0]["code"]),
        (409, &json!(10046))
    );
    assert_eq!(
        posts(&page, "/recorder/token").await,
        [json!({"query": "channel=show68&sig=a%2Bb"})]
    );
    assert_eq!(
        posts(&page, "/recorder/presence").await[0],
        json!({"query": "channel=show68&sig=a%2Bb", "present": true, "seq": 1})
    );

    assert_eq!(sandbox.stop(&task).await.0, 200);
    let (status, again) = sandbox.stop(&task).await;
    assert_eq!((status, &again["code"]), (400, &json!(49)));
    let (status, gone) = sandbox.query(&task).await;
    assert_eq!((status, &gone["code"]), (404, &json!(404)));
    assert_eq!(
        sandbox.manifest(&uid).await.0,
        200,
        "frozen, for timeoutSeconds"
    );
    assert_eq!(sandbox.lifecycle(&uid).await["live"], false);
    until("the hold is over", || async {
        sandbox.manifest(&uid).await.0 == 204
    })
    .await;
    until("the recording is ready", || async {
        let (_, body) = send(sandbox.cloudflare(
            Method::GET,
            &format!("?live_input_id={uid}&type=live&status=ready"),
        ))
        .await;
        body["result"][0]["status"]["pctComplete"] == "100.000000"
            && body["result"][0]["duration"].as_f64().unwrap() > 0.0
    })
    .await;
    assert!(
        sandbox.violations().is_empty(),
        "{:?}",
        sandbox.violations()
    );
}

#[tokio::test]
async fn a_converter_brings_a_channel_on_air_and_ends_when_its_seller_stays_away() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    let created = sandbox
        .push(Method::POST, "/na", "/rtmp-converters")
        .json(&converter("live-1", &rtmp))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status().as_u16(), 200);
    let id = created.headers()["x-resource-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let again = sandbox
        .push(Method::POST, "/na", "/rtmp-converters")
        .json(&converter("live-1", &rtmp))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            again.status().as_u16(),
            again.headers()["x-resource-id"].to_str().unwrap()
        ),
        (409, id.as_str())
    );
    let one = format!("/rtmp-converters/{id}");
    until("running", || async {
        send(sandbox.push(Method::GET, "/na", &one)).await.1["converter"]["state"] == "running"
    })
    .await;
    assert_eq!(
        send(sandbox.push(Method::GET, "/eu", &one)).await.0,
        404,
        "another region knows nothing of it"
    );
    sandbox.until_live(&uid).await;
    let (_, list) = send(sandbox.push(Method::GET, "", "/channels/show68/rtmp-converters")).await;
    assert_eq!(
        (
            &list["data"]["cursor"],
            &list["data"]["members"][0]["idleTimeout"]
        ),
        (&json!(0), &json!("20"))
    );
    assert_eq!(
        send(sandbox.push(Method::GET, "", "/channels/other/rtmp-converters"))
            .await
            .1["data"]["total_count"],
        0
    );

    sandbox.vendors.set_seller("show68", Some(7), false);
    assert_eq!(
        sandbox.lifecycle(&uid).await["live"],
        true,
        "the canvas goes on without the seller"
    );
    until("destroyed", || async {
        send(sandbox.push(Method::GET, "/na", &one)).await.0 == 404
    })
    .await;
    until("over", || async {
        sandbox
            .vendors
            .state()
            .videos
            .iter()
            .all(|video| video.state == "ready")
    })
    .await;
    assert_eq!(sandbox.vendors.state().videos.len(), 1);
}

#[tokio::test]
async fn only_the_current_key_of_an_enabled_live_input_is_accepted() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    let (disabled, disabled_rtmp) = sandbox.live_input().await;
    send(
        sandbox
            .cloudflare(Method::PUT, &format!("/live_inputs/{disabled}"))
            .json(&json!({"enabled": false})),
    )
    .await;
    let (_, rotated) =
        send(sandbox.cloudflare(Method::POST, &format!("/live_inputs/{uid}/rotate_keys"))).await;
    assert!(rotated["result"]["keysRotatedAt"].is_string());
    let bare = "rtmps://live.cloudflare.com:443/live/".to_owned();
    let wrong = format!("{bare}{}k{uid}", "0".repeat(32));
    for (name, url) in [
        ("bare", bare),
        ("wrong", wrong),
        ("rotated", rtmp),
        ("disabled", disabled_rtmp),
        ("elsewhere", "rtmps://elsewhere/live/x".to_owned()),
    ] {
        let (status, created) = sandbox.create_converter(name, &url).await;
        assert_eq!(status, 200);
        let one = format!(
            "/rtmp-converters/{}",
            created["converter"]["id"].as_str().unwrap()
        );
        until(name, || async {
            send(sandbox.push(Method::GET, "/na", &one)).await.1["converter"]["state"] == "failed"
        })
        .await;
    }
    let key = rotated["result"]["rtmps"]["streamKey"].as_str().unwrap();
    let url = format!("rtmps://live.cloudflare.com:443/live/{key}");
    sandbox.create_converter("right", &url).await;
    sandbox.until_live(&uid).await;
}

#[tokio::test]
async fn a_short_gap_keeps_the_recording_and_a_long_one_makes_another() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    let (_, created) = sandbox.create_converter("live", &rtmp).await;
    let id = created["converter"]["id"].as_str().unwrap();
    let live = || async { sandbox.lifecycle(&uid).await["live"] == true };
    until("live", live).await;
    for (pause, videos) in [(8, 1), (40, 2)] {
        assert!(sandbox.vendors.drop_feed(id, Duration::from_secs(pause)));
        until("gone", || async {
            sandbox.lifecycle(&uid).await["live"] == false
        })
        .await;
        until("back", live).await;
        assert_eq!(sandbox.vendors.state().videos.len(), videos);
    }
}

#[tokio::test]
async fn disabling_ends_a_broadcast_at_once_and_deleting_keeps_its_recording() {
    let sandbox = Sandbox::start(fast());
    let (uid, rtmp) = sandbox.live_input().await;
    sandbox.create_converter("live", &rtmp).await;
    sandbox.until_live(&uid).await;
    send(
        sandbox
            .cloudflare(Method::PUT, &format!("/live_inputs/{uid}"))
            .json(&json!({"enabled": false})),
    )
    .await;
    assert_eq!(sandbox.manifest(&uid).await.0, 204);
    send(sandbox.cloudflare(Method::DELETE, &format!("/live_inputs/{uid}"))).await;
    assert_eq!(
        send(sandbox.customer(&format!("/{uid}/lifecycle"))).await.0,
        404
    );
    until("ready", || async {
        sandbox.vendors.state().videos[0].state == "ready"
    })
    .await;
    let (_, used) = send(sandbox.cloudflare(Method::GET, "/storage-usage")).await;
    assert!(used["result"]["totalStorageMinutes"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn two_encoders_on_one_live_input_are_a_violation() {
    let sandbox = Sandbox::start(fast());
    let (_, rtmp) = sandbox.live_input().await;
    for name in ["one", "two"] {
        sandbox.create_converter(name, &rtmp).await;
    }
    until("noticed", || async {
        sandbox.violations() == ["double_publish"]
    })
    .await;
}

#[tokio::test]
async fn a_manifest_is_refused_to_other_clients_than_browsers() {
    let sandbox = Sandbox::start(fast());
    let (uid, _) = sandbox.live_input().await;
    let url = format!(
        "{}/{uid}/manifest/video.m3u8",
        sandbox.vendors.customer_base_url()
    );
    let refused = sandbox
        .http
        .get(url)
        .header("User-Agent", "python")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.text().await.unwrap()),
        (403, "error code: 1010".to_owned())
    );
    assert_eq!(sandbox.manifest(&"0".repeat(32)).await.0, 404);
}
