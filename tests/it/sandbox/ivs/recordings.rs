//! What is recorded, where, and the events about it.

use std::time::{Duration, Instant};

use chrono::Utc;
use relaykeeper::sandbox::{Options, WebhookUrls};
use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::aws::{Aws, Channel, Signature, unlimited};

async fn recorded(aws: &Aws) -> Channel {
    let arn = aws.vendors.ivs_recording_configuration_arn();
    aws.create(json!({"name": "show", "recordingConfigurationArn": arn}))
        .await
}

/// Keys under the channel's prefix.
async fn keys(aws: &Aws, channel: &Channel) -> Vec<String> {
    let prefix = prefix(aws, channel);
    let (status, xml) = aws
        .s3(Method::GET, &format!("?list-type=2&prefix={prefix}"), "")
        .await;
    assert_eq!(status, 200, "{xml}");
    all(&xml, "Key")
}

fn prefix(aws: &Aws, channel: &Channel) -> String {
    let account = channel.arn.split(':').nth(4).unwrap();
    assert!(
        aws.vendors
            .ivs_recording_configuration_arn()
            .contains(account)
    );
    format!("ivs%2Fv1%2F{account}%2F{}%2F", channel.id())
}

fn all(xml: &str, name: &str) -> Vec<String> {
    let opening = format!("<{name}>");
    let parts = xml.split(&opening).skip(1);
    parts
        .map(|part| part.split_once('<').unwrap().0.to_owned())
        .collect()
}

async fn until_ended(aws: &Aws, channel: &Channel, recordings: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let keys = keys(aws, channel).await;
        let ended = keys
            .iter()
            .filter(|key| key.ends_with("/events/recording-ended.json"));
        if ended.count() == recordings {
            return keys;
        }
        assert!(Instant::now() < deadline, "{keys:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_broadcast_is_recorded_under_a_prefix_without_padding() {
    let aws = Aws::start(unlimited());
    let configuration = json!({"arn": aws.vendors.ivs_recording_configuration_arn()});
    let configuration = aws.call("GetRecordingConfiguration", configuration).await;
    let configuration = &configuration["recordingConfiguration"];
    assert_eq!(configuration["state"], "ACTIVE");
    let bucket = &configuration["destinationConfiguration"]["s3"]["bucketName"];
    assert_eq!(bucket, aws.vendors.ivs_recording_bucket());

    let (unrecorded, channel) = (aws.create(json!({})).await, recorded(&aws).await);
    aws.vendors
        .publish(&unrecorded.publish_url, "other")
        .unwrap();
    let encoder = aws
        .vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;
    aws.until_live(&unrecorded).await;
    let started = keys(&aws, &channel).await;
    let name = |name: &str| started.iter().find(|key| key.ends_with(name));
    let first = name("/events/recording-started.json").unwrap();
    assert!(name("/media/hls/master.m3u8").is_some());
    assert!(name("recording-ended.json").is_none());
    let now = Utc::now();
    let parts: Vec<&str> = first.split('/').collect();
    let date = now.format("%Y/%-m/%-d/%-H").to_string();
    assert_eq!(parts[4..8].join("/"), date, "{first}");
    assert!(parts[8] == "0" || !parts[8].starts_with('0'), "{first}");
    assert_eq!(keys(&aws, &unrecorded).await, [""; 0]);

    aws.vendors.unpublish(encoder);
    let ended = until_ended(&aws, &channel, 1).await;
    let ended = ended
        .iter()
        .find(|key| key.ends_with("ended.json"))
        .unwrap();
    let (status, text) = aws.s3(Method::GET, &format!("/{ended}"), "").await;
    assert_eq!(status, 200);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(metadata["recording_status"], "RECORDING_ENDED");
    assert_eq!(metadata["media"]["hls"]["playlist"], "master.m3u8");
    assert!(metadata["media"]["hls"]["duration_ms"].as_u64().unwrap() > 0);
    let folder = ended.trim_end_matches("/events/recording-ended.json");
    let base = aws.vendors.ivs_vod_base_url();
    for file in ["master.m3u8", "720p30/playlist.m3u8", "720p30/init.mp4"] {
        let url = format!("{base}/{folder}/media/hls/{file}");
        let answer = aws.http.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
    let state = aws.vendors.state();
    assert_eq!((state.videos.len(), state.videos[0].state), (1, "ready"));
}

#[tokio::test]
async fn a_reconnection_within_the_window_continues_the_recording() {
    let aws = Aws::start(Options {
        ivs_recording_window_seconds: 60,
        ..unlimited()
    });
    let channel = recorded(&aws).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let encoder = aws
            .vendors
            .publish(&channel.publish_url, "encoder")
            .unwrap();
        streams.push(aws.until_live(&channel).await["streamId"].clone());
        aws.vendors.unpublish(encoder);
        aws.until_offline(&channel).await;
    }
    let over = Instant::now();
    until_ended(&aws, &channel, 1).await;
    // 60 s at 50 times the speed.
    assert!(
        over.elapsed() > Duration::from_secs(1),
        "{:?}",
        over.elapsed()
    );
    let encoder = aws
        .vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;
    aws.vendors.unpublish(encoder);
    until_ended(&aws, &channel, 2).await;
    assert_eq!(aws.vendors.state().videos.len(), 2);
}

#[tokio::test]
async fn a_recording_may_fail_to_begin_or_to_end() {
    let aws = Aws::start(Options {
        ivs_recordings_fail: true,
        ..unlimited()
    });
    let channel = recorded(&aws).await;
    let encoder = aws
        .vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;
    aws.vendors.unpublish(encoder);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !keys(&aws, &channel)
        .await
        .iter()
        .any(|key| key.ends_with("recording-failed.json"))
    {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let aws = Aws::start(Options {
        ivs_recording_state: "CREATE_FAILED",
        ..unlimited()
    });
    let channel = recorded(&aws).await;
    aws.vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;
    assert_eq!(keys(&aws, &channel).await, [""; 0]);
}

#[tokio::test]
async fn the_bucket_lists_pages_and_folders_and_deletes_objects() {
    let aws = Aws::start(unlimited());
    let channel = recorded(&aws).await;
    aws.vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;
    let known = keys(&aws, &channel).await;
    assert!(known.len() >= 4 && known.is_sorted(), "{known:#?}");
    let get = async |query: &str| aws.s3(Method::GET, query, "").await;

    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let (_, xml) = get(&format!("?list-type=2&max-keys=2{token}")).await;
        let page = all(&xml, "Key");
        assert!(page.len() <= 2);
        seen.extend(page);
        match all(&xml, "NextContinuationToken").first() {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!(seen, known);
    let (_, after) = get(&format!(
        "?list-type=2&start-after={}",
        known[0].replace('/', "%2F")
    ))
    .await;
    assert_eq!(all(&after, "Key"), known[1..]);
    let (_, folders) = get("?list-type=2&delimiter=%2F&prefix=ivs%2F").await;
    assert_eq!(all(&folders, "Prefix"), ["ivs/", "ivs/v1/"]);
    assert_eq!(all(&folders, "KeyCount"), ["1"]);

    let path = format!("/{}", known[0]);
    let head = aws.s3(Method::HEAD, &path, "").await;
    assert_eq!(head, (200, String::new()));
    assert_eq!(aws.s3(Method::HEAD, "/none", "").await.0, 404);
    let (status, missing) = get("/none").await;
    assert_eq!(
        (status, all(&missing, "Code")),
        (404, vec!["NoSuchKey".to_owned()])
    );
    for _ in 0..2 {
        assert_eq!(aws.s3(Method::DELETE, &path, "").await.0, 204, "also again");
    }
    let body: String = known[1..]
        .iter()
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .collect();
    let body = format!("<Delete>{body}</Delete>");
    let (status, refused) = aws.s3(Method::POST, "?delete=", &body).await;
    assert_eq!(
        (status, all(&refused, "Code")),
        (400, vec!["InvalidRequest".to_owned()])
    );
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = |text: &str| {
        let hash = sha2::Sha256::digest(text);
        base64::engine::general_purpose::STANDARD.encode(hash)
    };
    let post = async |sum: String| {
        let add = |request: reqwest::RequestBuilder| request.header("x-amz-checksum-sha256", sum);
        aws.s3_with(Method::POST, "?delete=", &body, add).await
    };
    let (status, denied) = post(hash(&body)).await;
    assert_eq!(
        (status, all(&denied, "Code")),
        (403, vec!["AccessDenied".to_owned()]),
        "not signed"
    );
    let signed = async |sum: String| {
        let url = format!(
            "{}/{}?delete=",
            aws.vendors.ivs_s3_endpoint(),
            aws.vendors.ivs_recording_bucket()
        );
        let signature = aws.signature("s3");
        // MD5 is not an `x-amz-*` header.
        let request = aws.request(Method::POST, &url, body.clone().into_bytes(), &signature);
        let answer = request.header("Content-MD5", sum).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, wrong) = signed("AAAA".to_owned()).await;
    assert_eq!(
        (status, all(&wrong, "Code")),
        (400, vec!["InvalidDigest".to_owned()])
    );
    let (status, deleted) = signed("AAAAAAAAAAAAAAAAAAAAAA==".to_owned()).await;
    assert_eq!((status, all(&deleted, "Key").len()), (200, known.len() - 1));
    assert_eq!(keys(&aws, &channel).await, [""; 0]);
    assert!(aws.vendors.state().videos[0].deleted);
}

#[tokio::test]
async fn the_bucket_needs_a_valid_signature_too() {
    let aws = Aws::start(unlimited());
    let bucket = aws.vendors.ivs_recording_bucket();
    let url = format!("{}/{bucket}?list-type=2", aws.vendors.ivs_s3_endpoint());
    let sign = || aws.signature("s3");
    let late = sign().late(chrono::TimeDelta::minutes(6));
    for (signature, wanted) in [
        (
            Signature {
                secret: "x".into(),
                ..sign()
            },
            (403, "SignatureDoesNotMatch"),
        ),
        (
            Signature {
                key: "x".into(),
                ..sign()
            },
            (403, "InvalidAccessKeyId"),
        ),
        (
            Signature {
                region: "x".into(),
                ..sign()
            },
            (400, "AuthorizationHeaderMalformed"),
        ),
        (
            Signature {
                signed: vec!["host", "x-amz-date"],
                ..sign()
            },
            (403, "AccessDenied"),
        ),
        (late, (403, "RequestTimeTooSkewed")),
    ] {
        let request = aws.request(Method::GET, &url, Vec::new(), &signature);
        let answer = request.send().await.unwrap();
        let (status, xml) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!((status, all(&xml, "Code")[0].as_str()), wanted);
    }
    let anonymous = aws.http.get(&url).send().await.unwrap();
    assert_eq!(anonymous.status(), 403);
    let other = url.replace(bucket, "other");
    let other = aws
        .request(Method::GET, &other, Vec::new(), &sign())
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 404);
    let body = aws
        .request(Method::GET, &url, Vec::new(), &sign())
        .body("other");
    assert_eq!(body.send().await.unwrap().status(), 400, "another body");
}

#[tokio::test]
async fn events_are_posted_as_an_api_destination_does() {
    let receiver = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&receiver)
        .await;
    let aws = Aws::start(Options {
        webhooks: WebhookUrls {
            ivs: Some(receiver.uri()),
            duplicates: true,
            ..WebhookUrls::default()
        },
        ..unlimited()
    });
    let channel = recorded(&aws).await;
    let encoder = aws
        .vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    let stream = aws.until_live(&channel).await;
    aws.vendors.unpublish(encoder);
    let wanted = [
        "Session Created",
        "Stream Start",
        "Recording Start",
        "Session Ended",
        "Stream End",
        "Recording End",
    ];
    let named = |event: &Value| {
        let detail = &event["detail"];
        let name = detail["event_name"]
            .as_str()
            .or(detail["recording_status"].as_str());
        name.unwrap_or_default().to_owned()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let events = loop {
        let requests = receiver.received_requests().await.unwrap();
        if requests.len() == 2 * wanted.len() {
            break requests;
        }
        assert!(Instant::now() < deadline, "{requests:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let mut ids = Vec::new();
    for request in &events {
        assert_eq!(
            request.headers["x-relaykeeper-secret"],
            aws.vendors.ivs_webhook_secret()
        );
        let event: Value = request.body_json().unwrap();
        let name = named(&event);
        assert!(wanted.contains(&name.as_str()), "{event:#}");
        let kind = match name.starts_with("Recording") {
            true => "IVS Recording State Change",
            false => "IVS Stream State Change",
        };
        assert_eq!(event["detail-type"], kind);
        assert_eq!(
            (&event["source"], &event["version"]),
            (&json!("aws.ivs"), &json!("0"))
        );
        assert_eq!(event["resources"], json!([channel.arn]));
        assert_eq!(event["detail"]["channel_name"], "show");
        assert_eq!(event["detail"]["stream_id"], stream["streamId"]);
        if name == "Recording End" {
            let detail = &event["detail"];
            let key = detail["recording_s3_key_prefix"].as_str().unwrap();
            assert!(keys(&aws, &channel).await[0].starts_with(key));
            assert!(detail["recording_duration_ms"].as_u64().unwrap() > 0);
            assert_eq!(
                detail["recording_session_stream_ids"],
                json!([stream["streamId"]])
            );
        }
        ids.push(event["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), wanted.len(), "a duplicate has the same id");
}
