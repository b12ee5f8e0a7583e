//! Cloudflare's API: the credentials and the budget of an account.

use std::time::Duration;

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::{CloudflareSetupError, VENDOR, base_url, envelope, ratelimit};
use crate::config;
use crate::platforms::api::{AnsweredCall, ApiCall, ApiClient, PlatformApi, RateLimits};
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::RawResponse;
use crate::vendors::lease::Lease;
use crate::vendors::{Vendor, VendorError};

/// At most 255 bytes, kept for 6 hours (`cloudflare-stream.md §2.3`).
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

pub(super) type CloudflareApi = ApiClient<CloudflareAccount>;

#[derive(Debug, Clone)]
pub(super) struct CloudflareAccount {
    id: String,
    token: SecretString,
    authorization: HeaderValue,
    governor: Governor,
}

impl PlatformApi for CloudflareAccount {
    const VENDOR: Vendor = VENDOR;
    const PAUSE: Duration = Duration::from_secs(30);

    fn governor(&self, _: &ApiCall<'_>) -> &Governor {
        &self.governor
    }

    async fn authorize(&self, request: &mut Request) -> Result<(), VendorError> {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        Ok(())
    }

    fn secret(&self) -> &str {
        self.token.expose_secret()
    }

    fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
        envelope::refused(call, answer)
    }

    fn is_own(answer: &RawResponse) -> bool {
        envelope::is_own(&answer.body)
    }

    fn limits(headers: &HeaderMap) -> RateLimits {
        ratelimit::read(headers)
    }

    fn exchange_id(answer: &RawResponse) -> Option<&str> {
        envelope::ray(answer)
    }
}

impl CloudflareApi {
    pub(super) fn of_settings(
        settings: &config::CloudflareSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, CloudflareSetupError> {
        let token = settings.api_token.clone();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| CloudflareSetupError::Token)?;
        authorization.set_sensitive(true);
        let account = CloudflareAccount {
            id: settings.account_id.clone(),
            token,
            authorization,
            governor: Governor::sliding_window(
                "cloudflare",
                settings.requests_per_5_minutes,
                ratelimit::WINDOW,
                settings.budget_share,
            ),
        };
        let base = base_url("api_base_url", &settings.api_base_url)?;
        Ok(Self::new(account, base, vendors, lease)?)
    }

    pub(super) fn account(&self) -> &str {
        &self.api.id
    }

    pub(super) fn token(&self) -> &str {
        self.api.secret()
    }

    pub(super) fn governor(&self) -> &Governor {
        &self.api.governor
    }

    pub(super) async fn result<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<T, VendorError> {
        self.result_if(permit, call, |_| None).await
    }

    /// `flaw` says why a `result` does not prove that the call took effect.
    pub(super) async fn result_if<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        flaw: impl FnOnce(&T) -> Option<&'static str>,
    ) -> Result<T, VendorError> {
        self.ask(permit, call, |call, answer| {
            let result = envelope::result(call, answer)?;
            match flaw(&result) {
                Some(what) => Err(envelope::unexpected(call, answer, what)),
                None => Ok(result),
            }
        })
        .await
    }

    /// Makes a call whose answer has no documented body: any 2xx, even empty, is a success
    /// (`cloudflare-stream.md §2.9`), except a web page or an envelope of a failure.
    pub(super) async fn send(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<(), VendorError> {
        self.ask(permit, call, envelope::accepted).await
    }
}
