//! Mux's API: credentials, budgets, and the envelope `{"data": …}`.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{VENDOR, refusal};
use crate::config::{MuxSettings, VendorsSettings};
use crate::platforms::api::{AnsweredCall, ApiCall, ApiClient, PlatformApi};
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::RawResponse;
use crate::vendors::lease::Lease;
use crate::vendors::{Vendor, VendorError};

pub(super) type MuxApi = ApiClient<MuxToken>;

/// An access token, with the budgets of its environment.
#[derive(Debug)]
pub(super) struct MuxToken {
    secret: SecretString,
    authorization: HeaderValue,
    /// For all methods but POST (`mux.md §1.3`).
    reads: Governor,
    /// For POST.
    writes: Governor,
}

impl PlatformApi for MuxToken {
    const VENDOR: Vendor = VENDOR;
    const PAUSE: Duration = Duration::from_secs(5);

    fn governor(&self, call: &ApiCall<'_>) -> &Governor {
        match call.method == Method::POST {
            true => &self.writes,
            false => &self.reads,
        }
    }

    async fn authorize(&self, request: &mut Request) -> Result<(), VendorError> {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        Ok(())
    }

    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
        refusal::refused(call, answer)
    }

    fn is_own(answer: &RawResponse) -> bool {
        refusal::is_own(answer)
    }
}

impl MuxApi {
    pub(super) fn of_settings(
        settings: &MuxSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        let secret = &settings.token_secret;
        let pair = format!("{}:{}", settings.token_id, secret.expose_secret());
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
        authorization.set_sensitive(true);
        let token = MuxToken {
            secret: secret.clone(),
            authorization,
            reads: Governor::per_second("mux_reads", settings.reads_per_second),
            writes: Governor::per_second("mux_writes", settings.writes_per_second),
        };
        let base = Url::parse(&settings.api_base_url).context("mux.api_base_url is not a URL")?;
        Ok(Self::new(token, base, vendors, lease)?)
    }

    pub(super) fn governors(&self) -> [&Governor; 2] {
        [&self.api.reads, &self.api.writes]
    }

    /// The answer's `data`. `flaw` says why it does not prove that the call took effect.
    pub(super) async fn data<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        flaw: impl FnOnce(&T) -> Option<&'static str>,
    ) -> Result<T, VendorError> {
        self.ask(permit, call, |call, answer| {
            let data = json(answer).and_then(|mut body| Some(body.get_mut("data")?.take()));
            // Omits serde's error: it may quote a stream key.
            let data = data.and_then(|data| serde_json::from_value(data).ok());
            let data = data.ok_or_else(|| call.unexpected(answer, ANOTHER_SHAPE))?;
            match flaw(&data) {
                Some(what) => Err(call.unexpected(answer, what)),
                None => Ok(data),
            }
        })
        .await
    }

    /// The whole answer.
    pub(super) async fn page(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<Value, VendorError> {
        self.ask(permit, call, |call, answer| {
            json(answer).ok_or_else(|| call.unexpected(answer, ANOTHER_SHAPE))
        })
        .await
    }

    /// Makes a call whose answer's body does not matter, unless it is a web page.
    pub(super) async fn send(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<(), VendorError> {
        self.ask(permit, call, |call, answer| match answer.is_page() {
            true => Err(call.unexpected(answer, "a web page")),
            false => Ok(()),
        })
        .await
    }

    pub(super) async fn environment(&self, permit: PermitRequest) -> Result<String, VendorError> {
        let path = ["system", "v1", "whoami"];
        let call = ApiCall::new("system.whoami", Method::GET, path);
        let who: Value = self.data(permit, call, |_| None).await?;
        let words = ["environment_name", "environment_type", "environment_id"];
        let words = words.iter().filter_map(|key| who.get(*key)?.as_str());
        Ok(words.collect::<Vec<_>>().join(", "))
    }
}

const ANOTHER_SHAPE: &str = "an answer of another shape than documented";

fn json(answer: &RawResponse) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}
