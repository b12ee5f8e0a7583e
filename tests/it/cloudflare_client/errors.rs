//! What each refusal means to the caller.

use std::time::Duration;

use relaykeeper::config;
use relaykeeper::platforms::cloudflare::{Cloudflare, CloudflareSetupError};
use relaykeeper::vendors::lease::Lease;
use relaykeeper::vendors::{Class, Done, VendorError};
use serde_json::json;
use tokio::net::TcpListener;
use wiremock::ResponseTemplate;

use super::support::*;

/// The errors of a write and of a read with the same answer.
async fn outcomes(answer: ResponseTemplate) -> (VendorError, VendorError) {
    let at = stream(&format!("/live_inputs/{UID}"));
    let server = answering("PUT", &at, answer.clone()).await;
    let write = client(&server)
        .disable_live_input(permit(), UID)
        .await
        .unwrap_err();
    let server = answering("GET", &at, answer).await;
    let read = client(&server)
        .get_live_input(permit(), UID)
        .await
        .unwrap_err();
    (write, read)
}

#[tokio::test]
async fn each_refusal_has_its_class() {
    for (status, code, class) in [
        (401, 10000, Class::Unauthorized),
        (403, 10000, Class::Unauthorized),
        (403, 9109, Class::Unauthorized),
        (400, 6003, Class::Unauthorized),
        (400, 10060, Class::Rejected),
        (400, 7003, Class::Rejected),
        (404, 7003, Class::Rejected),
        (400, 10005, Class::Rejected),
        (404, 10003, Class::NotFound),
        (400, 10003, Class::NotFound),
        (409, 10046, Class::Conflict),
        (400, 10046, Class::Conflict),
    ] {
        let (write, read) = outcomes(refused(status, code, "why")).await;
        for error in [write, read] {
            assert_eq!(
                (error.class, error.done),
                (class, Done::No),
                "{status} {code}"
            );
            assert_eq!((error.status, error.code), (Some(status), Some(code)));
            assert_eq!(error.message, "why");
        }
    }
}

/// A refusal whose reason may be in `messages`.
fn limited(status: u16, code: i64, error: &str, told: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .insert_header("retry-after", "600")
        .set_body_json(json!({
            "result": null, "success": false, "errors": [ { "code": code, "message": error } ],
            "messages": if told.is_empty() { json!([]) } else { json!([ { "code": code, "message": told } ]) },
        }))
}

#[tokio::test]
async fn a_limit_of_the_account_is_a_quota_with_advice_for_the_operator() {
    const STORAGE: &str = "delete recordings or buy more";
    const INPUTS: &str = "delete some or ask Cloudflare for more";
    const NOT_ENABLED: &str = "subscribe to it";
    for (status, code, error, told, remedy) in [
        (
            413,
            10011,
            "Storage capacity exceeded",
            "You are allocated 0 minutes",
            STORAGE,
        ),
        (403, 10011, "Storage capacity exceeded", "", STORAGE),
        (413, 1, "too much", "", "a limit of the account"),
        (
            400,
            4242,
            "You have reached your storage limit",
            "",
            STORAGE,
        ),
        (429, 10011, "Storage capacity exceeded", "", STORAGE),
        (400, 4242, "Live input limit reached", "", INPUTS),
        (
            400,
            4242,
            "The maximum number of live inputs exists",
            "",
            INPUTS,
        ),
        (403, 10002, "Cloudflare Stream not enabled", "", NOT_ENABLED),
        (
            403,
            10005,
            "Authorization Failure",
            "Cloudflare Stream not enabled",
            NOT_ENABLED,
        ),
        (
            403,
            10000,
            "Stream is not enabled for this account",
            "",
            NOT_ENABLED,
        ),
        (
            402,
            4242,
            "A quota was used up",
            "",
            "a limit of the account",
        ),
    ] {
        let (write, read) = outcomes(limited(status, code, error, told)).await;
        for failed in [write, read] {
            assert_eq!(
                (failed.class, failed.done),
                (Class::Quota, Done::No),
                "{failed}"
            );
            for words in [remedy, error, told] {
                assert!(failed.message.contains(words), "{words} in {failed}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_that_names_no_limit_of_the_account_is_no_quota() {
    for (status, code, error, class) in [
        (
            429,
            10000,
            "Rate limit exceeded: more than 1200 requests",
            Class::RateLimited,
        ),
        (
            429,
            971,
            "Please wait and consider throttling your request speed",
            Class::RateLimited,
        ),
        (
            429,
            971,
            "You exceeded the allowed requests, wait 5 minutes",
            Class::RateLimited,
        ),
        (429, 4242, "Storage quota exceeded", Class::RateLimited),
        (429, 4242, "Live input limit reached", Class::RateLimited),
        (
            400,
            4242,
            "Unlimited storage is limited to some plans",
            Class::Rejected,
        ),
        (403, 10000, "Authentication error", Class::Unauthorized),
        (
            400,
            10060,
            "deleteRecordingAfterDays must be between 30 and 1096 days",
            Class::Rejected,
        ),
        (
            404,
            10003,
            "live input not found in storage quota",
            Class::NotFound,
        ),
    ] {
        let (write, _) = outcomes(refused(status, code, error)).await;
        assert_eq!(write.class, class, "{write}");
    }
}

#[tokio::test]
async fn a_quota_holds_back_no_other_call_of_the_account() {
    let at = stream("/live_inputs");
    let full = limited(429, 10011, "Storage capacity exceeded", "");
    let server = answering("POST", &at, full).await;
    on(
        &server,
        "DELETE",
        &stream(&format!("/live_inputs/{UID}")),
        ResponseTemplate::new(200),
    )
    .await;
    let client = client(&server);
    let error = create(&client).await.unwrap_err();
    assert_eq!(error.class, Class::Quota);
    delete(&client).await.unwrap();
    assert!(client.last_success().is_some() && client.last_error().is_none());
}

#[tokio::test]
async fn after_a_5xx_a_write_may_be_done_and_a_read_changed_nothing() {
    for status in [500, 502, 503, 520, 524] {
        let (write, read) = outcomes(ResponseTemplate::new(status).set_body_string("<html>")).await;
        assert_eq!(
            (write.class, write.done),
            (Class::Unavailable, Done::Unknown)
        );
        assert_eq!((read.class, read.done), (Class::Unavailable, Done::No));
        assert_eq!(write.message, "an HTML page");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let elsewhere = wiremock::MockServer::start().await;
    let answer = ResponseTemplate::new(307).insert_header("location", elsewhere.uri());
    let (write, _) = outcomes(answer).await;
    assert_eq!(
        (write.class, write.done),
        (Class::Unexpected, Done::Unknown)
    );
    assert!(calls(&elsewhere).await.is_empty());
}

#[tokio::test]
async fn a_body_that_is_no_envelope_is_quoted_in_brief_with_the_ray() {
    let answer = ResponseTemplate::new(403)
        .set_body_string("error code: 1010")
        .insert_header("cf-ray", "8f1a2b3c4d5e6f70-FRA");
    let (write, _) = outcomes(answer).await;
    assert_eq!(
        write.message,
        "error code: 1010 (cf-ray 8f1a2b3c4d5e6f70-FRA)"
    );
    let (write, _) = outcomes(ResponseTemplate::new(400)).await;
    assert_eq!(write.message, "an empty answer");
}

#[tokio::test]
async fn only_the_apis_own_envelope_refuses_the_credentials() {
    let page = "<!doctype html><title>Just a moment...</title>";
    for status in [401, 403] {
        for answer in [
            ResponseTemplate::new(status).set_body_raw(page, "text/html"),
            ResponseTemplate::new(status).set_body_string("error code: 1010"),
            ResponseTemplate::new(status),
            ResponseTemplate::new(status).set_body_json(json!({ "message": "Forbidden" })),
            ResponseTemplate::new(status).set_body_json(json!({ "success": false, "errors": [] })),
            ResponseTemplate::new(status).set_body_json(json!([{ "code": 10000 }])),
        ] {
            let (write, read) = outcomes(answer).await;
            let (unavailable, unknown) = (Class::Unavailable, Done::Unknown);
            assert_eq!((write.class, write.done), (unavailable, unknown), "{write}");
            assert_eq!((read.class, read.done), (unavailable, Done::No), "{read}");
        }
    }
}

/// Bodies that Cloudflare's API did not write.
const FOREIGN: [&str; 8] = [
    "<html>nginx</html>",
    r#"{"error":"blocked"}"#,
    r#"{"errors":[{"code":10003,"message":"Not Found"}]}"#,
    r#"{"success":true,"errors":[{"code":10011,"message":"Storage capacity exceeded"}]}"#,
    r#"{"success":"false"}"#,
    r#"[{"success":false,"errors":[{"code":10003}]}]"#,
    r#"{"success":false,"errors":[{"code":1000"#,
    "Blocked: storage quota exceeded",
];

#[tokio::test]
async fn an_answer_that_cloudflare_did_not_write_proves_nothing_about_an_object_or_a_limit() {
    let at = stream(&format!("/live_inputs/{UID}"));
    for status in [400, 404, 409, 413, 451] {
        for body in FOREIGN {
            let answer = ResponseTemplate::new(status).set_body_string(body);
            let server = answering("PUT", &at, answer.clone()).await;
            for method in ["GET", "DELETE"] {
                on(&server, method, &at, answer.clone()).await;
            }
            on(
                &server,
                "POST",
                &format!("{at}/rotate_keys"),
                answer.clone(),
            )
            .await;
            on(&server, "POST", &stream("/live_inputs"), answer).await;
            let client = client(&server);
            for error in [
                client.disable_live_input(permit(), UID).await.unwrap_err(),
                delete(&client).await.unwrap_err(),
                client.rotate_keys(permit(), UID).await.unwrap_err(),
                create(&client).await.unwrap_err(),
            ] {
                assert_eq!(
                    (error.class, error.done),
                    (Class::Unexpected, Done::Unknown),
                    "{body}: {error}"
                );
            }
            let read = client.get_live_input(permit(), UID).await.unwrap_err();
            assert_eq!((read.class, read.done), (Class::Unexpected, Done::No));
            assert!(client.last_success().is_none(), "it was not Cloudflare");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cloudflare_did_not_write_ends_no_refusal_of_the_credentials() {
    let at = stream(&format!("/live_inputs/{UID}"));
    let denied = refused(403, 10000, "Authentication error");
    let server = answering("PUT", &at, denied).await;
    let missing = ResponseTemplate::new(404).set_body_string(FOREIGN[1]);
    on(&server, "GET", &at, missing).await;
    // An empty body counts as the API's, but does not prove that credentials are valid.
    on(&server, "DELETE", &at, ResponseTemplate::new(404)).await;
    let rotate = format!("{at}/rotate_keys");
    on(&server, "POST", &rotate, refused(404, 10003, "Not Found")).await;
    let client = client(&server);
    assert!(client.refusal().is_none());
    client.disable_live_input(permit(), UID).await.unwrap_err();
    client.get_live_input(permit(), UID).await.unwrap_err();
    delete(&client).await.unwrap();
    assert_eq!(client.refusal().unwrap().error.class, Class::Unauthorized);
    client.rotate_keys(permit(), UID).await.unwrap_err();
    assert!(client.refusal().is_none(), "the API's own 404 ends it");
}

#[tokio::test]
async fn errors_without_codes_with_codes_as_text_and_with_chains_are_read() {
    let answer = ResponseTemplate::new(400).set_body_json(json!({
        "success": false, "result": null, "messages": [ { "code": 10003, "message": "no error" } ],
        "errors": [ { "message": "first" }, { "code": "6003", "message": "Invalid request headers",
            "error_chain": [ { "code": 6111, "message": "Invalid format for Authorization header" } ] } ],
    }));
    let (write, _) = outcomes(answer).await;
    assert_eq!((write.class, write.code), (Class::Unauthorized, Some(6003)));
    assert_eq!(
        write.message,
        "first; Invalid request headers; Invalid format for Authorization header"
    );
}

#[tokio::test]
async fn a_2xx_that_says_it_failed_is_a_failure_whose_outcome_is_unknown() {
    let (write, read) = outcomes(refused(200, 10003, "Not Found")).await;
    assert_eq!((write.class, write.done), (Class::NotFound, Done::Unknown));
    assert_eq!((read.class, read.done), (Class::NotFound, Done::No));
    let (write, _) = outcomes(refused(200, 4242, "who knows")).await;
    assert_eq!((write.class, write.done), (Class::Rejected, Done::Unknown));
}

#[tokio::test]
async fn the_token_is_never_repeated_even_when_the_vendor_does() {
    let (write, read) = outcomes(refused(400, 6003, &format!("Bearer {TOKEN} is odd"))).await;
    for error in [write, read] {
        assert_no_secret(&format!("{error} {error:?}"));
        assert!(error.message.contains("[redacted]"));
    }
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let (write, _) = outcomes(refused(400, 1, &"ä".repeat(5000))).await;
    assert!(write.message.chars().count() <= 300);
}

#[tokio::test]
async fn a_call_without_a_connection_is_not_done_and_one_without_an_answer_may_be() {
    let server = wiremock::MockServer::start().await;
    let mut settings = settings(&server);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.api_base_url = format!("http://{}/client/v4", closed.local_addr().unwrap());
    drop(closed);
    let error = delete(&client_of(&settings)).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Unavailable, Done::No));

    let at = stream(&format!("/live_inputs/{UID}"));
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    let server = answering("DELETE", &at, slow.clone()).await;
    on(&server, "GET", &at, slow).await;
    let vendors = config::VendorsSettings {
        read_timeout: Duration::from_millis(100),
        write_timeout: Duration::from_millis(100),
        ..config::VendorsSettings::default()
    };
    let settings = super::support::settings(&server);
    let client = Cloudflare::new(&settings, &vendors, &Lease::for_good()).unwrap();
    let error = delete(&client).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Timeout, Done::Unknown));
    let error = client.get_live_input(permit(), UID).await.unwrap_err();
    assert_eq!((error.class, error.done), (Class::Timeout, Done::No));
    assert_no_secret(&error.to_string());
}

#[tokio::test]
async fn the_last_success_and_error_are_kept_for_health() {
    let at = stream(&format!("/live_inputs/{UID}"));
    let server = answering("GET", &at, refused(404, 10003, "Not Found")).await;
    on(
        &server,
        "DELETE",
        &at,
        refused(403, 10000, "Authentication error"),
    )
    .await;
    let client = client(&server);
    assert!(client.last_success().is_none() && client.last_error().is_none());
    let _ = client.get_live_input(permit(), UID).await;
    let before = client.last_success().expect("a 404 proves the credentials");
    assert!(client.last_error().is_none());
    let _ = delete(&client).await;
    let error = client.last_error().unwrap();
    assert_eq!(error.error.class, Class::Unauthorized);
    assert!(error.error.message.contains("Authentication error"));
    assert!(error.at >= before);
    assert_eq!(client.last_success(), Some(before));
    assert!(client.clone().last_error().is_some(), "clones share it");
}

#[tokio::test]
async fn invalid_settings_are_named() {
    let server = wiremock::MockServer::start().await;
    let good = settings(&server);
    let vendors = config::VendorsSettings::default();
    let _ = client_of(&good);
    for (setting, base) in [
        ("api_base_url", "api.cloudflare.com"),
        ("api_base_url", "ftp://x/"),
    ] {
        let error = Cloudflare::new(
            &config::CloudflareSettings {
                api_base_url: base.into(),
                ..good.clone()
            },
            &vendors,
            &Lease::for_good(),
        )
        .unwrap_err();
        assert!(error.to_string().contains(setting), "{error}");
    }
    let odd = config::CloudflareSettings {
        api_token: "two\nlines".into(),
        ..good
    };
    let error = Cloudflare::new(&odd, &vendors, &Lease::for_good()).unwrap_err();
    assert!(matches!(error, CloudflareSetupError::Token));
    assert!(!error.to_string().contains("lines"));
}
