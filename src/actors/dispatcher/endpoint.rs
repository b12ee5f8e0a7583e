//! Signs a message and posts it to the marketplace's endpoint (Standard Webhooks).

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretSlice};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};
use url::{Host, Url};

use super::address::{NoPublicAddress, PublicResolver};
use crate::config::{WebhooksSettings, is_public};

const EXCERPT_BYTES: usize = 500;

/// The endpoint's settings cannot be used.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("webhooks.endpoint is not a URL, or webhooks.secrets has no usable secret")]
    Settings,
    #[error("cannot build the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// No response came.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Private(#[from] PrivateAddressError),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("{0}")]
    Connection(String),
}

/// The endpoint's URL names a private address.
#[derive(Debug, thiserror::Error)]
#[error("webhooks.endpoint is a private address, and webhooks.allow_private is off")]
pub struct PrivateAddressError;

/// The endpoint's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointResponse {
    /// The HTTP status.
    pub status: u16,
    /// The first bytes of the body.
    pub excerpt: String,
}

impl EndpointResponse {
    /// Whether the status is 2xx; redirects are not followed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The marketplace's endpoint.
pub struct Endpoint {
    client: reqwest::Client,
    url: Url,
    key: SecretSlice<u8>,
    allow_private: bool,
    timeout: Duration,
}

/// The URL may hold a secret.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    /// `None` when no endpoint is set. Fails on invalid settings, or without a TLS provider.
    pub fn of(settings: &WebhooksSettings) -> Result<Option<Self>, EndpointError> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&settings.endpoint).map_err(|_| EndpointError::Settings)?;
        let key = settings.signing_key().ok_or(EndpointError::Settings)?;
        let mut client = reqwest::Client::builder()
            .user_agent(crate::vendors::http::USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .no_proxy();
        if !settings.allow_private {
            client = client.dns_resolver(PublicResolver);
        }
        Ok(Some(Self {
            client: client.build()?,
            url,
            key,
            allow_private: settings.allow_private,
            timeout: settings.timeout,
        }))
    }

    /// Signs a message for `now` and posts it once. A refusal is a response, no error.
    pub async fn send(
        &self,
        id: &str,
        body: String,
        now: DateTime<Utc>,
    ) -> Result<EndpointResponse, DeliveryError> {
        self.check_address()?;
        let timestamp = now.timestamp();
        let signature = sign(self.key.expose_secret(), id, timestamp, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body);
        let exchange = async {
            let mut response = request.send().await?;
            let mut excerpt = Vec::new();
            while excerpt.len() < EXCERPT_BYTES
                && let Some(chunk) = response.chunk().await?
            {
                excerpt.extend_from_slice(&chunk);
            }
            excerpt.truncate(EXCERPT_BYTES);
            Ok::<_, reqwest::Error>(EndpointResponse {
                status: response.status().as_u16(),
                excerpt: String::from_utf8_lossy(&excerpt).into_owned(),
            })
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(broken(error)),
            Err(_) => Err(DeliveryError::Timeout(self.timeout)),
        }
    }

    /// A literal address passes no resolver.
    fn check_address(&self) -> Result<(), PrivateAddressError> {
        let literal = match self.url.host() {
            Some(Host::Ipv4(v4)) => Some(v4.into()),
            Some(Host::Ipv6(v6)) => Some(v6.into()),
            Some(Host::Domain(_)) | None => None,
        };
        if self.allow_private || literal.is_none_or(is_public) {
            Ok(())
        } else {
            Err(PrivateAddressError)
        }
    }
}

/// Empty for an unusable key: the receiver refuses it.
fn sign(key: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let webhook = Webhook::from_bytes(key.to_vec());
    let signature = webhook.and_then(|webhook| webhook.sign(id, timestamp, body.as_bytes()));
    signature.unwrap_or_default()
}

/// Omits the URL, which may hold a secret.
fn broken(error: reqwest::Error) -> DeliveryError {
    let error = anyhow::Error::new(error.without_url());
    let text = match error.chain().find(|cause| cause.is::<NoPublicAddress>()) {
        Some(private) => private.to_string(),
        None => format!("{error:#}"),
    };
    DeliveryError::Connection(text.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn a_message_is_signed_as_standard_webhooks_asks() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
