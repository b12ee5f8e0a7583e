//! The simulated Amazon IVS behaves as documented.

mod recordings;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use relaykeeper::sandbox::{FaultKind, Options, Quotas, VendorCall, VendorFault};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{converter, send};
use crate::support::aws::{Aws, Channel, Signature, said, unlimited};

fn conflict() -> (u16, String) {
    (409, "ConflictException".to_owned())
}

fn missing() -> (u16, String) {
    (404, "ResourceNotFoundException".to_owned())
}

fn offline() -> (u16, String) {
    (404, "ChannelNotBroadcasting".to_owned())
}

fn invalid() -> (u16, String) {
    (400, "ValidationException".to_owned())
}

#[tokio::test]
async fn a_call_needs_a_valid_signature() {
    let aws = Aws::start(unlimited());
    let url = format!("{}/ListChannels", aws.vendors.ivs_api_base_url());
    let answer = aws.http.post(&url).body("{}").send().await.unwrap();
    let (status, kind, body) = said(answer).await;
    assert_eq!(
        (status, kind.as_str()),
        (403, "MissingAuthenticationTokenException")
    );
    assert_eq!(
        body,
        json!({"exceptionMessage": "Missing Authentication Token"})
    );
    let malformed = aws.http.post(&url).header("Authorization", "Bearer x");
    let (status, kind, _) = said(malformed.send().await.unwrap()).await;
    assert_eq!(
        (status, kind.as_str()),
        (403, "IncompleteSignatureException")
    );

    let sign = || aws.signature("ivs");
    let minutes = |minutes| TimeDelta::minutes(minutes);
    let cases: [(&str, Signature, &str); 9] = [
        ("valid", sign(), ""),
        ("4 minutes old", sign().late(minutes(4)), ""),
        (
            "6 minutes old",
            sign().late(minutes(6)),
            "InvalidSignatureException",
        ),
        (
            "6 minutes early",
            sign().late(minutes(-6)),
            "InvalidSignatureException",
        ),
        (
            "wrong secret",
            Signature {
                secret: "x".into(),
                ..sign()
            },
            "InvalidSignatureException",
        ),
        (
            "unknown key",
            Signature {
                key: "AKIAX".into(),
                ..sign()
            },
            "UnrecognizedClientException",
        ),
        (
            "wrong region",
            Signature {
                region: "eu-west-1".into(),
                ..sign()
            },
            "InvalidSignatureException",
        ),
        (
            "wrong service",
            Signature {
                service: "s3",
                ..sign()
            },
            "InvalidSignatureException",
        ),
        (
            "unsigned host",
            Signature {
                signed: vec!["x-amz-date"],
                ..sign()
            },
            "InvalidSignatureException",
        ),
    ];
    for (name, signature, wanted) in cases {
        let answer = aws.ivs("ListChannels", &json!({}), &signature).send().await;
        let (status, kind, _) = said(answer.unwrap()).await;
        let status_wanted = if wanted.is_empty() { 200 } else { 403 };
        assert_eq!((status, kind.as_str()), (status_wanted, wanted), "{name}");
    }
    let other_body = aws
        .ivs("ListChannels", &json!({}), &sign())
        .body(r#"{"maxResults":1}"#);
    let (status, kind, _) = said(other_body.send().await.unwrap()).await;
    assert_eq!(
        (status, kind.as_str()),
        (403, "InvalidSignatureException"),
        "another body"
    );
}

#[tokio::test]
async fn temporary_credentials_need_their_token_which_must_be_signed() {
    let aws = Aws::start(Options {
        ivs_temporary_credentials: true,
        ..unlimited()
    });
    let token = Some(aws.vendors.ivs_session_token().to_owned());
    let without = aws.signature("ivs");
    let mut signed = without.signed.clone();
    signed.push("x-amz-security-token");
    let unsigned = Signature {
        token: token.clone(),
        ..aws.signature("ivs")
    };
    let valid = Signature {
        token,
        signed,
        ..aws.signature("ivs")
    };
    for (signature, wanted) in [
        (without, (403, "UnrecognizedClientException")),
        (unsigned, (403, "InvalidSignatureException")),
        (valid, (200, "")),
    ] {
        let answer = aws.ivs("ListChannels", &json!({}), &signature).send().await;
        let (status, kind, _) = said(answer.unwrap()).await;
        assert_eq!((status, kind.as_str()), wanted);
    }
}

#[tokio::test]
async fn a_channel_is_made_with_its_key_and_the_documented_defaults() {
    let aws = Aws::start(unlimited());
    let made = aws.create(json!({})).await.made;
    let channel = &made["channel"];
    let defaults = json!({"name": "", "latencyMode": "LOW", "type": "STANDARD", "authorized": false,
        "recordingConfigurationArn": "", "insecureIngest": false, "preset": "", "tags": {}, "containerFormat": "TS"});
    for (key, value) in defaults.as_object().unwrap() {
        assert_eq!(&channel[key], value, "{key}");
    }
    let text = |key: &str| channel[key].as_str().unwrap();
    assert!(
        text("arn").starts_with("arn:aws:ivs:us-west-2:"),
        "{channel:#}"
    );
    assert!(text("ingestEndpoint").ends_with(".global-contribute.live-video.net"));
    assert!(text("playbackUrl").ends_with(".m3u8"));
    let key = &made["streamKey"];
    assert_eq!(key["channelArn"], channel["arn"]);
    assert!(key["value"].as_str().unwrap().starts_with("sk_us-west-2_"));
    let read = aws.call("GetChannel", json!({"arn": channel["arn"]})).await;
    assert_eq!(read["channel"], *channel);
    assert_eq!(read.get("streamKey"), None);
    let advanced = aws.create(json!({"type": "ADVANCED_HD"})).await.made;
    assert_eq!(advanced["channel"]["preset"], "HIGHER_BANDWIDTH_DELIVERY");
}

#[tokio::test]
async fn what_the_model_does_not_allow_is_refused() {
    let aws = Aws::start(unlimited());
    for body in [
        json!({"name": "with space"}),
        json!({"name": "x".repeat(129)}),
        json!({"name": 7}),
        json!({"type": "standard"}),
        json!({"latencyMode": "ULTRA_LOW"}),
        json!({"preset": "HIGHER_BANDWIDTH_DELIVERY"}),
        json!({"authorized": "yes"}),
        json!({"recordingConfigurationArn": "none"}),
        json!({"tags": {"": "x"}}),
        json!({"tags": {"aws:x": "x"}}),
        json!({"tags": {"x": "#"}}),
        json!({"containerFormat": "HLS"}),
        json!({"channelName": "x"}),
        json!([]),
    ] {
        assert_eq!(
            aws.refused("CreateChannel", body.clone()).await,
            invalid(),
            "{body}"
        );
    }
    let unknown = aws
        .vendors
        .ivs_recording_configuration_arn()
        .replace("configuration/", "configuration/x");
    let body = json!({"recordingConfigurationArn": unknown});
    assert_eq!(aws.refused("CreateChannel", body).await, missing());
    for body in [
        json!({}),
        json!({"arn": "x"}),
        json!({"arn": "arn:aws:ivs:r:1:stream-key/x"}),
    ] {
        assert_eq!(aws.refused("GetChannel", body).await, invalid());
    }
    let url = format!("{}/ListChannels", aws.vendors.ivs_api_base_url());
    let signature = aws.signature("ivs");
    let answer = aws.request(Method::POST, &url, b"{}".to_vec(), &signature);
    assert_eq!(said(answer.send().await.unwrap()).await.0, 400);
    assert_eq!(aws.ask("CreateChanel", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_new_account_and_a_full_one_make_no_channel() {
    let aws = Aws::start(Options {
        ivs_pending_verification: true,
        ..unlimited()
    });
    let refused = aws.refused("CreateChannel", json!({})).await;
    assert_eq!(refused, (403, "PendingVerification".to_owned()));
    aws.call("ListChannels", json!({})).await;
    let aws = Aws::start(Options {
        quotas: Quotas {
            ivs_channels: 1,
            ..unlimited().quotas
        },
        ..unlimited()
    });
    let first = aws.create(json!({})).await;
    let refused = aws.refused("CreateChannel", json!({})).await;
    assert_eq!(refused, (402, "ServiceQuotaExceededException".to_owned()));
    aws.call("DeleteChannel", json!({"arn": first.arn})).await;
    aws.create(json!({})).await;
}

#[tokio::test]
async fn lists_have_summaries_pages_and_one_filter() {
    let aws = Aws::start(unlimited());
    for name in ["a", "b", "b"] {
        aws.create(json!({"name": name, "tags": {"mark": "x"}}))
            .await;
    }
    let named = aws.call("ListChannels", json!({"filterByName": "b"})).await;
    let named = named["channels"].as_array().unwrap();
    assert_eq!(named.len(), 2, "names are not unique");
    assert_eq!(named[0]["tags"], json!({"mark": "x"}));
    for absent in ["ingestEndpoint", "playbackUrl", "srt"] {
        assert_eq!(named[0].get(absent), None, "{absent}");
    }
    let mut seen = Vec::new();
    let mut body = json!({"maxResults": 1});
    loop {
        let page = aws.call("ListChannels", body.clone()).await;
        let channels = page["channels"].as_array().unwrap();
        assert!(channels.len() <= 1);
        seen.extend(channels.iter().map(|channel| channel["arn"].clone()));
        match page.get("nextToken") {
            Some(next) => body["nextToken"] = next.clone(),
            None => break,
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let arn = aws.vendors.ivs_recording_configuration_arn();
    let both = json!({"filterByName": "b", "filterByRecordingConfigurationArn": arn});
    assert_eq!(aws.refused("ListChannels", both).await, conflict());
    let none = json!({"filterByRecordingConfigurationArn": arn});
    assert_eq!(aws.call("ListChannels", none).await["channels"], json!([]));
    for wrong in [
        json!({"maxResults": 101}),
        json!({"maxResults": 0}),
        json!({"nextToken": "zz"}),
    ] {
        assert_eq!(aws.refused("ListChannels", wrong).await, invalid());
    }
    let batch = json!({"arns": [seen[0], "arn:aws:ivs:us-west-2:1:channel/x"]});
    let batch = aws.call("BatchGetChannel", batch).await;
    assert_eq!(batch["channels"][0]["arn"], seen[0]);
    assert_eq!(batch["errors"][0]["code"], "ResourceNotFoundException");
}

#[tokio::test]
async fn a_new_channel_may_come_late_into_lists() {
    let aws = Aws::start(Options {
        ivs_listed_after: Duration::from_secs(10),
        ..unlimited()
    });
    let channel = aws.create(json!({"name": "a"})).await;
    aws.call("GetChannel", json!({"arn": channel.arn})).await;
    let listed = async || {
        let list = aws.call("ListChannels", json!({"filterByName": "a"})).await;
        list["channels"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 0);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(listed().await, 1);
}

#[tokio::test]
async fn a_channel_has_one_key_whose_value_no_list_has() {
    let aws = Aws::start(unlimited());
    let channel = aws.create(json!({})).await;
    let of_channel = json!({"channelArn": channel.arn});
    let list = aws.call("ListStreamKeys", of_channel.clone()).await;
    let key = json!({"arn": channel.key, "channelArn": channel.arn, "tags": {}});
    assert_eq!(list, json!({"streamKeys": [key]}));
    let arn = json!({"arn": channel.key});
    let read = aws.call("GetStreamKey", arn.clone()).await;
    assert_eq!(read["streamKey"], channel.made["streamKey"]);
    let second = aws.refused("CreateStreamKey", of_channel.clone()).await;
    assert_eq!(second, (402, "ServiceQuotaExceededException".to_owned()));

    let encoder = aws
        .vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    assert_eq!(aws.ask("DeleteStreamKey", arn.clone()).await.0, 204);
    assert_eq!(aws.refused("DeleteStreamKey", arn.clone()).await, missing());
    assert_eq!(aws.refused("GetStreamKey", arn.clone()).await, missing());
    let list = aws.call("ListStreamKeys", of_channel.clone()).await;
    assert_eq!(list["streamKeys"], json!([]));
    aws.until_live(&channel).await;
    aws.vendors.unpublish(encoder);
    assert!(
        aws.vendors
            .publish(&channel.publish_url, "encoder")
            .is_err()
    );
    let renewed = aws.call("CreateStreamKey", of_channel).await;
    assert_ne!(
        renewed["streamKey"]["value"],
        channel.made["streamKey"]["value"]
    );
    let endpoint = channel.made["channel"]["ingestEndpoint"].as_str().unwrap();
    let key = renewed["streamKey"]["value"].as_str().unwrap();
    let insecure = format!("rtmp://{endpoint}/app/{key}");
    assert!(aws.vendors.publish(&insecure, "encoder").is_err());
    let secure = format!("rtmps://{endpoint}:443/app/{key}");
    aws.vendors.publish(&secure, "encoder").unwrap();
}

#[tokio::test]
async fn a_live_channel_is_neither_changed_nor_deleted() {
    let aws = Aws::start(unlimited());
    let channel = aws.create(json!({"name": "a"})).await;
    let (arn, of_channel) = (
        json!({"arn": channel.arn}),
        json!({"channelArn": channel.arn}),
    );
    assert_eq!(
        aws.refused("GetStream", of_channel.clone()).await,
        offline()
    );
    assert_eq!(
        aws.refused("StopStream", of_channel.clone()).await,
        offline()
    );
    assert_eq!(aws.manifest(&channel).await, 404);
    aws.vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    assert_eq!(
        aws.refused("GetStream", of_channel.clone()).await,
        offline(),
        "not yet"
    );
    let stream = aws.until_live(&channel).await;
    assert_eq!(stream["state"], "LIVE");
    let id = stream["streamId"].as_str().unwrap();
    assert!(id.starts_with("st-") && id.len() == 26, "{id}");
    assert_eq!(
        stream["playbackUrl"],
        channel.made["channel"]["playbackUrl"]
    );
    let list = aws
        .call("ListStreams", json!({"filterBy": {"health": "HEALTHY"}}))
        .await;
    assert_eq!(list["streams"][0]["channelArn"], channel.arn);
    assert_eq!(list["streams"].as_array().unwrap().len(), 1);
    assert_eq!(aws.manifest(&channel).await, 200);
    let update = json!({"arn": channel.arn, "name": "b"});
    assert_eq!(
        aws.refused("UpdateChannel", update.clone()).await,
        conflict()
    );
    assert_eq!(aws.refused("DeleteChannel", arn.clone()).await, conflict());

    assert_eq!(aws.call("StopStream", of_channel.clone()).await, json!({}));
    assert_eq!(
        aws.refused("DeleteChannel", arn.clone()).await,
        conflict(),
        "not over yet"
    );
    aws.until_offline(&channel).await;
    assert_eq!(aws.manifest(&channel).await, 404);
    assert_eq!(
        aws.call("ListStreams", json!({})).await["streams"],
        json!([])
    );
    let updated = aws.call("UpdateChannel", update).await;
    assert_eq!(updated["channel"]["name"], "b");
    let (status, _, body) = aws.ask("DeleteChannel", arn.clone()).await;
    assert_eq!((status, body), (204, Value::Null));
    for operation in ["DeleteChannel", "GetChannel"] {
        assert_eq!(aws.refused(operation, arn.clone()).await, missing());
    }
    for operation in [
        "GetStream",
        "StopStream",
        "ListStreamKeys",
        "CreateStreamKey",
    ] {
        assert_eq!(aws.refused(operation, of_channel.clone()).await, missing());
    }
}

#[tokio::test]
async fn each_connection_is_a_stream_and_a_second_encoder_is_refused() {
    let aws = Aws::start(unlimited());
    let channel = aws.create(json!({})).await;
    let encoder = aws.vendors.publish(&channel.publish_url, "first").unwrap();
    let first = aws.until_live(&channel).await;
    assert!(aws.vendors.publish(&channel.publish_url, "second").is_err());
    assert_eq!(aws.vendors.state().violations[0].kind, "double_publish");
    aws.vendors.unpublish(encoder);
    let (_, _, starving) = aws
        .ask("GetStream", json!({"channelArn": channel.arn}))
        .await;
    assert_eq!(starving["stream"]["health"], "STARVING");
    aws.vendors.publish(&channel.publish_url, "first").unwrap();
    let second = aws.until_live(&channel).await;
    assert_ne!(first["streamId"], second["streamId"]);
    let sessions = aws
        .call("ListStreamSessions", json!({"channelArn": channel.arn}))
        .await;
    let sessions = sessions["streamSessions"].as_array().unwrap();
    let ids: Vec<&Value> = sessions.iter().map(|one| &one["streamId"]).collect();
    assert_eq!(
        ids,
        [&second["streamId"], &first["streamId"]],
        "newest first"
    );
    assert_eq!(
        (
            sessions[0]["endTime"].is_null(),
            sessions[1]["endTime"].is_string()
        ),
        (true, true)
    );
    let one = json!({"channelArn": channel.arn, "streamId": first["streamId"]});
    let session = aws.call("GetStreamSession", one).await;
    assert_eq!(
        session["streamSession"]["truncatedEvents"][0]["name"],
        "Stream End"
    );

    let aws = Aws::start(Options {
        ivs_new_encoder_replaces: true,
        ..unlimited()
    });
    let channel = aws.create(json!({})).await;
    aws.vendors.publish(&channel.publish_url, "first").unwrap();
    aws.vendors.publish(&channel.publish_url, "second").unwrap();
    assert_eq!(aws.vendors.state().live_inputs[0].encoders, ["second"]);
}

/// A converter of 720p at 3.4 Mbit/s.
#[tokio::test]
async fn an_encoder_above_the_limit_of_the_channels_type_is_disconnected() {
    let aws = Aws::start(unlimited());
    for (kind, canvas, bitrate, is_taken) in [
        ("BASIC", (1280, 720), 3420, true),
        ("BASIC", (1280, 720), 3600, false),
        ("BASIC", (854, 480), 1600, false),
        ("STANDARD", (1280, 720), 8500, true),
        ("STANDARD", (1280, 720), 8600, false),
    ] {
        let channel = aws.create(json!({"type": kind})).await;
        let mut body = converter("relay", &channel.publish_url);
        let video = &mut body["converter"]["transcodeOptions"]["videoOptions"];
        video["bitrate"] = bitrate.into();
        video["canvas"] = json!({"width": canvas.0, "height": canvas.1});
        video["layout"][0]["region"] =
            json!({"xPos": 0, "yPos": 0, "zIndex": 1, "width": canvas.0, "height": canvas.1});
        let url = format!(
            "{}/na/v1/projects/{}/rtmp-converters",
            aws.vendors.agora_base_url(),
            aws.vendors.agora_app_id()
        );
        let agora = |method: Method, url: &str| {
            let (id, secret) = (
                aws.vendors.agora_customer_id(),
                aws.vendors.agora_customer_secret(),
            );
            aws.http.request(method, url).basic_auth(id, Some(secret))
        };
        let (status, made) = send(agora(Method::POST, &url).json(&body)).await;
        assert_eq!(status, 200, "{made:#}");
        let id = made["converter"]["id"].as_str().unwrap().to_owned();
        let of_channel = json!({"channelArn": channel.arn});
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let sessions = aws.call("ListStreamSessions", of_channel.clone()).await;
            let first = &sessions["streamSessions"][0];
            let is_live = aws.ask("GetStream", of_channel.clone()).await.0 == 200;
            if is_live || first["endTime"].is_string() {
                assert_eq!(
                    (is_live, &first["hasErrorEvent"]),
                    (is_taken, &json!(!is_taken)),
                    "{kind} {bitrate}"
                );
                break;
            }
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (status, _) = send(agora(Method::DELETE, &format!("{url}/{id}"))).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn each_operation_has_five_calls_a_second() {
    let aws = Aws::start(Options {
        speed: 1.0,
        ..Options::default()
    });
    let calls = (0..12).map(|_| aws.ask("ListChannels", json!({})));
    let answers = futures_util::future::join_all(calls).await;
    let is_refused = |(status, kind, _): &&(u16, String, Value)| {
        (*status, kind.as_str()) == (429, "ThrottlingException")
    };
    let refused = answers.iter().filter(is_refused).count();
    assert!((1..=7).contains(&refused), "{refused}");
    aws.call("ListStreams", json!({})).await;
    assert_eq!(aws.vendors.state().violations[0].kind, "quota_passed");
}

#[tokio::test]
async fn tags_are_read_added_and_removed() {
    let aws = Aws::start(unlimited());
    let channel = aws.create(json!({"tags": {"a": "1"}})).await;
    let path = channel.arn.replace(':', "%3A").replace('/', "%2F");
    let url = format!("{}/tags/{path}", aws.vendors.ivs_api_base_url());
    let ask = async |method: Method, url: &str, body: &str| {
        let body = body.as_bytes().to_vec();
        let request = aws.request(method, url, body, &aws.signature("ivs"));
        let request = request.header("Content-Type", "application/json");
        said(request.send().await.unwrap()).await
    };
    let (status, _, _) = ask(Method::POST, &url, r#"{"tags":{"b":"2"}}"#).await;
    assert_eq!(status, 200);
    let (_, _, tags) = ask(Method::GET, &url, "").await;
    assert_eq!(tags, json!({"tags": {"a": "1", "b": "2"}}));
    let (status, _, _) = ask(Method::DELETE, &format!("{url}?tagKeys=a"), "").await;
    assert_eq!(status, 200);
    let (_, _, tags) = ask(Method::GET, &url, "").await;
    assert_eq!(tags, json!({"tags": {"b": "2"}}));
    let (status, kind, _) = ask(Method::GET, &format!("{url}x"), "").await;
    assert_eq!((status, kind), missing());
}

#[tokio::test]
async fn a_lost_answer_leaves_a_channel_behind() {
    let aws = Aws::start(unlimited());
    aws.vendors.fault(VendorFault::once(
        VendorCall::IvsChannelCreate,
        FaultKind::CutAfter,
    ));
    let request = aws.ivs(
        "CreateChannel",
        &json!({"name": "a"}),
        &aws.signature("ivs"),
    );
    assert!(request.send().await.is_err());
    let list = aws.call("ListChannels", json!({"filterByName": "a"})).await;
    assert_eq!(list["channels"].as_array().unwrap().len(), 1);
    aws.vendors.fault(VendorFault::once(
        VendorCall::IvsStreamGet,
        FaultKind::Status(503, None),
    ));
    let channel: Channel = aws.create(json!({})).await;
    let refused = aws
        .refused("GetStream", json!({"channelArn": channel.arn}))
        .await;
    assert_eq!(refused, (503, "ServiceUnavailable".to_owned()));
}
