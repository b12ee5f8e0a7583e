//! Refusals, credentials and answers of an unknown form.

use relaykeeper::platforms::Platform as _;
use relaykeeper::sandbox::{Options, Quotas};
use relaykeeper::vendors::{Class, Done};
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{IvsBench, client};
use crate::support::bench::{fast, new, permit};
use crate::support::platform::ivs_of;

#[tokio::test]
async fn wrong_credentials_are_refused_and_right_ones_with_a_session_token_accepted() {
    let temporary = Options {
        ivs_temporary_credentials: true,
        ..fast()
    };
    let lacking = IvsBench::start(temporary.clone());
    let refused = lacking.platform.check(permit()).await.unwrap_err();
    assert_eq!(refused.class, Class::Unauthorized, "{refused}");
    assert!(lacking.platform.health().refusal.is_some());
    let wrong = IvsBench::with(fast(), |ivs| ivs.secret_access_key = "wrong".into());
    let refused = wrong.platform.ensure_ingest(permit(), &new("tag")).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.class, refused.done),
        (Class::Unauthorized, Done::No)
    );

    let vendors = relaykeeper::sandbox::SimulatedVendors::start(temporary).unwrap();
    let ivs = client(|ivs| {
        ivs_of(&vendors, ivs);
        ivs.session_token = vendors.ivs_session_token().into();
    });
    ivs.check(permit()).await.unwrap();
    ivs.check_bucket().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_quota_and_an_unverified_account_need_an_operator_until_a_channel_is_created() {
    let codes = |bench: &IvsBench| {
        let complaints = bench.platform.complaints();
        complaints.iter().map(|all| all.code).collect::<Vec<_>>()
    };
    let young = IvsBench::start(Options {
        ivs_pending_verification: true,
        ..fast()
    });
    let refused = young.platform.ensure_ingest(permit(), &new("tag")).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.class, refused.done), (Class::Quota, Done::No));
    assert_eq!(codes(&young), ["ivs-account-refuses"]);
    let why = young.platform.complaints().remove(0).detail;
    assert!(why.contains("PendingVerification"), "{why}");
    assert!(
        young.platform.health().refusal.is_none(),
        "the key is accepted"
    );

    let full = IvsBench::start(Options {
        quotas: Quotas {
            ivs_channels: 1,
            ..fast().quotas
        },
        ..fast()
    });
    let first = full.create("tag-1").await;
    let refused = full.platform.ensure_ingest(permit(), &new("tag-2")).await;
    assert_eq!(refused.unwrap_err().class, Class::Quota);
    assert_eq!(codes(&full), ["ivs-account-refuses"]);
    full.platform.remove(permit(), &first.id).await.unwrap();
    full.create("tag-2").await;
    assert_eq!(codes(&full), [""; 0]);
}

#[tokio::test]
async fn a_recording_configuration_that_does_not_record_needs_an_operator() {
    let bench = IvsBench::start(Options {
        ivs_recording_state: "CREATE_FAILED",
        ..fast()
    });
    assert!(bench.platform.complaints().is_empty());
    bench.platform.check(permit()).await.unwrap();
    let [complaint] = &bench.platform.complaints()[..] else {
        panic!("one");
    };
    assert_eq!(complaint.code, "ivs-not-recording");
    assert!(complaint.detail.contains("CREATE_FAILED"));
    let read = bench
        .platform
        .recording_configuration(permit())
        .await
        .unwrap();
    let read = read.unwrap();
    assert_eq!(
        read.bucket.as_deref(),
        Some(bench.vendors.ivs_recording_bucket())
    );
}

#[tokio::test]
async fn too_many_calls_are_refused_and_then_paced() {
    let bench = IvsBench::start(Options::default());
    let creations = (0..12).map(|number| {
        let ivs = &bench.platform;
        async move {
            ivs.ensure_ingest(permit(), &new(&format!("tag-{number}")))
                .await
        }
    });
    let created = futures_util::future::join_all(creations).await;
    let refused = created.iter().filter_map(|one| one.as_ref().err());
    let refused: Vec<_> = refused.collect();
    assert!(!refused.is_empty());
    for error in refused {
        assert_eq!((error.class, error.done), (Class::RateLimited, Done::No));
        assert!(error.retry_after.is_some());
    }
    bench.create("tag-later").await;
}

#[tokio::test]
async fn an_answer_without_a_key_or_an_endpoint_is_in_doubt() {
    let server = MockServer::start().await;
    let arn = "arn:aws:ivs:eu-west-1:1:channel/a";
    for body in [
        json!({"channel": {"arn": arn, "ingestEndpoint": "host", "playbackUrl": "https://h/x.m3u8"}}),
        json!({"channel": {"arn": arn, "playbackUrl": "https://h/x.m3u8"}, "streamKey": {"arn": "k", "value": "v"}}),
        json!({"channel": {"arn": "x"}, "streamKey": {"arn": "k", "value": "v"}}),
        json!([]),
    ] {
        server.reset().await;
        Mock::given(path("/CreateChannel"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .expect(1)
            .mount(&server)
            .await;
        let ivs = client(|ivs| ivs.api_base_url = server.uri());
        let error = ivs.ensure_ingest(permit(), &new("tag")).await.unwrap_err();
        assert_eq!(
            (error.class, error.done),
            (Class::Unexpected, Done::Unknown)
        );
    }
}
