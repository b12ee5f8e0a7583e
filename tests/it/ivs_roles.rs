//! Relays on IVS with the keys of a role, as EC2, ECS, EKS and STS hand them out.
#![cfg(feature = "sandbox")]

use chrono::{SecondsFormat, TimeDelta, Utc};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use rstest::rstest;
use serde_json::json;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::database::TestDatabase;
use crate::support::platform::TestPlatform;
use crate::support::program::Program;
use crate::support::service::{
    Answer, nothing_is_left, options, show, until, until_nothing_is_left, violations,
};

/// What hands out the keys.
#[derive(Debug, Clone, Copy)]
enum Issuer {
    Instance,
    Pod,
    WebIdentity,
    /// It knows no role.
    Nothing,
}

const ROLE: &str = "arn:aws:iam::123456789012:role/relaykeeper";
const POD_TOKEN: &str = "token-of-the-pod";

impl Issuer {
    /// Answers soon expire: they are asked for again.
    async fn of(self, vendors: &SimulatedVendors) -> MockServer {
        let server = MockServer::start().await;
        let expires = Utc::now() + TimeDelta::minutes(2);
        let expires = expires.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (id, secret, token) = (
            vendors.ivs_access_key_id(),
            vendors.ivs_secret_access_key(),
            vendors.ivs_session_token(),
        );
        let keys = ResponseTemplate::new(200).set_body_json(json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": id, "SecretAccessKey": secret, "Token": token, "Expiration": expires,
        }));
        let text = |text: &str| ResponseTemplate::new(200).set_body_string(text);
        match self {
            Self::Instance => {
                let put = Mock::given(method("PUT")).and(path("/latest/api/token"));
                put.respond_with(text("session")).mount(&server).await;
                let below = "/latest/meta-data/iam/security-credentials/";
                for (at, answer) in [
                    (below.to_owned(), text("the-role")),
                    (format!("{below}the-role"), keys),
                ] {
                    let get = Mock::given(method("GET"))
                        .and(path(at))
                        .and(header("x-aws-ec2-metadata-token", "session"));
                    get.respond_with(answer).mount(&server).await;
                }
            }
            Self::Pod => {
                let get = Mock::given(path("/v1/credentials"));
                let get = get.and(header("authorization", POD_TOKEN));
                get.respond_with(keys).mount(&server).await;
            }
            Self::WebIdentity => {
                let assumed = format!(
                    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                     <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
                     <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration>\
                     </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
                );
                let post = Mock::given(method("POST"))
                    .and(query_param("Action", "AssumeRoleWithWebIdentity"))
                    .and(query_param("RoleArn", ROLE))
                    .and(query_param("WebIdentityToken", POD_TOKEN));
                post.respond_with(text(&assumed)).mount(&server).await;
            }
            Self::Nothing => {}
        }
        server
    }

    /// `token`: the file that has the pod's.
    fn environment(self, server: &MockServer, token: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Instance | Self::Nothing => vec![("AWS_METADATA_ENDPOINT", server.uri())],
            Self::Pod => vec![
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    format!("{}/v1/credentials", server.uri()),
                ),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_owned()),
            ],
            Self::WebIdentity => vec![
                ("AWS_ENDPOINT_URL_STS", server.uri()),
                ("AWS_ROLE_ARN", ROLE.to_owned()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_owned()),
            ],
        }
    }
}

struct RoleStage {
    vendors: SimulatedVendors,
    issuer: MockServer,
    program: Program,
    _token: tempfile::NamedTempFile,
}

async fn stage(issuer: Issuer) -> RoleStage {
    let vendors = SimulatedVendors::start(Options {
        ivs_temporary_credentials: true,
        ..options()
    })
    .unwrap();
    let server = issuer.of(&vendors).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), POD_TOKEN).unwrap();
    let mut environment = TestPlatform::Ivs.environment_as_default(&vendors);
    environment.retain(|(name, _)| !name.starts_with("AWS_") || *name == "AWS_REGION");
    environment.push(("RELAYKEEPER__IVS__CREDENTIALS", "role".to_owned()));
    environment.extend(issuer.environment(&server, token.path().to_str().unwrap()));
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let database = TestDatabase::sqlite();
    let backend = AgoraBackend::MediaPush;
    let mut program = Program::serve(&vendors, backend, &database.url, &environment);
    program.wait_until_ready().await;
    RoleStage {
        vendors,
        issuer: server,
        program,
        _token: token,
    }
}

#[rstest]
#[case::of_an_instance(Issuer::Instance)]
#[case::of_a_pod(Issuer::Pod)]
#[case::by_a_web_identity(Issuer::WebIdentity)]
#[tokio::test]
async fn a_role_carries_a_relay_and_its_keys_are_asked_for_before_they_expire(
    #[case] issuer: Issuer,
) {
    let stage = stage(issuer).await;
    let (vendors, service) = (&stage.vendors, &stage.program.service);
    let relay = service.go_live(42, &show("show68")).await;
    assert_eq!(relay["platform"], "ivs");
    let asked = async || stage.issuer.received_requests().await.unwrap().len();
    let before = asked().await;
    until("asked again", async || asked().await > before).await;
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    // The bucket is read with them too.
    assert_eq!(relay["recordings"][0]["state"], "ready", "{relay:#}");
    until_nothing_is_left(vendors).await;
    assert_eq!(violations(vendors), [""; 0]);
    let log = stage.program.log();
    for secret in [vendors.ivs_secret_access_key(), vendors.ivs_session_token()] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn without_a_role_a_start_fails_and_says_why() {
    let stage = stage(Issuer::Nothing).await;
    let service = &stage.program.service;
    let (_, relay) = service.start_channel(42, &show("show68")).await;
    let id = match relay["relay_id"].is_string() {
        true => json!({ "id": relay["relay_id"] }),
        false => relay,
    };
    let ended = service.in_phase(&id, "ended").await;
    assert_eq!(ended["outcome"]["code"], "vendor_unavailable", "{ended:#}");
    let text = ended.to_string();
    assert!(
        text.contains("has this machine, task or pod a role?"),
        "{ended:#}"
    );
    assert!(nothing_is_left(&stage.vendors));
    let health = Answer::to(service.request(reqwest::Method::GET, "/v1/health")).await;
    assert_eq!(health.body["platforms"]["ivs"]["healthy"], false);
}
