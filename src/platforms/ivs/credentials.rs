//! Where the credentials come from: the settings, or a role whose temporary keys AWS's environment tells and renews.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, RetryConfig, StaticCredentialProvider};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;

use super::VENDOR;
use crate::config::{IvsCredentials, IvsSettings, VendorsSettings};
use crate::vendors::http::{self, USER_AGENT, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

const CALL: &str = "credentials.get";

/// The variables by which ECS, EKS and EC2 tell where a role's keys are.
const OF_A_ROLE: [(&str, AmazonS3ConfigKey); 9] = [
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        AmazonS3ConfigKey::WebIdentityTokenFile,
    ),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ),
    ("AWS_METADATA_ENDPOINT", AmazonS3ConfigKey::MetadataEndpoint),
    ("AWS_IMDSV1_FALLBACK", AmazonS3ConfigKey::ImdsV1Fallback),
];

/// The account's credentials. Clones share a role's keys.
#[derive(Debug, Clone)]
pub(super) struct AwsKeys {
    provider: AwsCredentialProvider,
}

impl AwsKeys {
    /// Asks for a role's keys only while `lease` is held.
    pub(super) fn of_settings(
        settings: &IvsSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        let provider = match settings.credentials {
            IvsCredentials::Keys => {
                Arc::new(StaticCredentialProvider::new(credential(settings))) as _
            }
            IvsCredentials::Role => {
                let transport = RoleTransport {
                    remote: http::client(USER_AGENT, vendors.idle_connections)?,
                    local: reqwest::Client::builder().no_proxy().build()?,
                    timeout: vendors.read_timeout,
                    lease: lease.clone(),
                };
                of_role(settings, transport)?
            }
        };
        Ok(Self { provider })
    }

    pub(super) fn provider(&self) -> AwsCredentialProvider {
        Arc::clone(&self.provider)
    }

    pub(super) async fn current(&self) -> Result<Arc<AwsCredential>, VendorError> {
        self.provider.get_credential().await.map_err(|error| {
            tracing::debug!(%error, "the keys of the role cannot be read");
            let message = "the keys of the role of ivs.credentials cannot be read: has this machine, task or pod a role?";
            let (class, done) = (Class::Unavailable, Done::No);
            failure(VENDOR, CALL, class, done, message.to_owned())
        })
    }
}

/// Only a client of S3 makes these providers. It makes no other call.
fn of_role(
    settings: &IvsSettings,
    transport: RoleTransport,
) -> anyhow::Result<AwsCredentialProvider> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name("none")
        .with_region(&settings.region)
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        .with_http_connector(transport);
    for (name, key) in OF_A_ROLE {
        if let Ok(value) = std::env::var(name) {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Arc::clone(builder.build()?.credentials()))
}

fn credential(settings: &IvsSettings) -> AwsCredential {
    let token = settings.session_token.expose_secret();
    AwsCredential {
        key_id: settings.access_key_id.clone(),
        secret_key: settings.secret_access_key.expose_secret().to_owned(),
        token: (!token.is_empty()).then(|| token.to_owned()),
    }
}

/// The endpoints of a machine, task or pod are plain HTTP and near: no proxy leads to them.
#[derive(Debug, Clone)]
struct RoleTransport {
    remote: reqwest::Client,
    local: reqwest::Client,
    timeout: Duration,
    lease: Lease,
}

impl HttpConnector for RoleTransport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for RoleTransport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let client = match parts.uri.scheme_str() {
            Some("https") => &self.remote,
            Some(_) | None => &self.local,
        };
        let body = body.as_bytes().cloned().unwrap_or_default();
        let request = client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body);
        let answer = http::send(VENDOR, CALL, request, self.timeout, &self.lease).await;
        let answer = answer.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let is_refused = !(200..300).contains(&answer.status);
        http::count(VENDOR, CALL, is_refused.then_some(Class::Unavailable));
        let mut response = HttpResponse::new(HttpResponseBody::from(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
