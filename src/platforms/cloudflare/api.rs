//! One call to Cloudflare's API, with its credentials and permit.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::envelope::{Context, is_own, ray};
use super::{CloudflareSetupError, VENDOR, base_url, ratelimit};
use crate::config;
pub(super) use crate::platforms::wire::is_id;
use crate::vendors::governor::{BudgetSnapshot, Governor, PermitRequest};
use crate::vendors::health::CallHealth;
use crate::vendors::http::{self, RawResponse, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

/// The pause after a 429 that names no wait.
const PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(super) struct ApiClient {
    client: reqwest::Client,
    base: Url,
    account: String,
    token: SecretString,
    authorization: HeaderValue,
    governor: Governor,
    read_timeout: Duration,
    write_timeout: Duration,
    lease: Lease,
    health: Arc<CallHealth>,
}

#[derive(Debug)]
pub(super) struct ApiCall<'a> {
    name: &'static str,
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    key: Option<&'a str>,
}

impl<'a> ApiCall<'a> {
    /// `path`: the segments after the base URL.
    pub(super) fn new(name: &'static str, method: Method, path: Vec<&'a str>) -> Self {
        Self {
            name,
            method,
            path,
            query: Vec::new(),
            body: None,
            key: None,
        }
    }

    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// `Idempotency-Key`: at most 255 bytes, kept for 6 hours (`cloudflare-stream.md §2.3`).
    pub(super) fn idempotency_key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }
}

impl ApiClient {
    pub(super) fn new(
        settings: &config::CloudflareSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, CloudflareSetupError> {
        let token = settings.api_token.clone();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| CloudflareSetupError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: http::client(
                concat!("relaykeeper/", env!("CARGO_PKG_VERSION")),
                vendors.idle_connections,
            )?,
            base: base_url("api_base_url", &settings.api_base_url)?,
            account: settings.account_id.clone(),
            token,
            authorization,
            governor: Governor::sliding_window(
                "cloudflare",
                settings.requests_per_5_minutes,
                ratelimit::WINDOW,
                settings.budget_share,
            ),
            read_timeout: vendors.read_timeout,
            write_timeout: vendors.write_timeout,
            lease: lease.clone(),
            health: Arc::default(),
        })
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    pub(super) fn governor(&self) -> &Governor {
        &self.governor
    }

    pub(super) fn budget(&self) -> BudgetSnapshot {
        self.governor.snapshot()
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
        let context = self.context(&call);
        let answer = self.exchange(permit, call).await?;
        let result = context
            .result(&answer)
            .and_then(|result| match flaw(&result) {
                Some(what) => Err(context.unexpected(&answer, what)),
                None => Ok(result),
            });
        self.conclude(context, &answer, &result);
        result
    }

    /// Makes a call whose answer has no documented body: any 2xx, even empty, is a success
    /// (`cloudflare-stream.md §2.9`), except a web page or an envelope of a failure.
    pub(super) async fn send(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<(), VendorError> {
        let context = self.context(&call);
        let answer = self.exchange(permit, call).await?;
        let result = context.accepted(&answer);
        self.conclude(context, &answer, &result);
        result
    }

    fn context(&self, call: &ApiCall<'_>) -> Context<'_> {
        Context {
            call: call.name,
            writes: call.method != Method::GET,
            token: self.token(),
        }
    }

    pub(super) fn health(&self) -> &CallHealth {
        &self.health
    }

    /// Neither records nor counts a 2xx.
    async fn exchange(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<RawResponse, VendorError> {
        let context = self.context(&call);
        let timeout = match context.writes {
            true => self.write_timeout,
            false => self.read_timeout,
        };
        let url = self.url(&call)?;
        if !self.lease.ready(permit.until).await {
            return Err(http::without_lease(VENDOR, call.name));
        }
        let permit = self
            .governor
            .permit(permit)
            .await
            .map_err(|denied| http::without_permit(VENDOR, call.name, denied.retry_after))?;
        let mut request = self
            .client
            .request(call.method, url)
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let (vendor, lease) = (VENDOR, &self.lease);
        let answer = match http::send(vendor, call.name, request, timeout, lease).await {
            Ok(answer) => answer,
            Err(mut error) => {
                if !context.writes {
                    error.done = Done::No;
                }
                self.note(Err(&error), false);
                return Err(error);
            }
        };
        let limits = ratelimit::read(&answer.headers);
        permit.answered(limits.report);
        tracing::debug!(
            call = call.name,
            status = answer.status,
            cf_ray = ray(&answer),
            "cloudflare answered"
        );
        if (200..300).contains(&answer.status) {
            if let Some(pause) = limits.exhausted_for {
                self.governor.pause(pause);
            }
            return Ok(answer);
        }
        let mut error = context.refused(&answer);
        if error.class == Class::RateLimited {
            let pause = error.retry_after.or(limits.exhausted_for).unwrap_or(PAUSE);
            error.retry_after = Some(pause);
            self.governor.pause(pause);
        }
        let refused = Err(error);
        self.conclude(context, &answer, &refused);
        refused
    }

    fn conclude<T>(
        &self,
        context: Context<'_>,
        answer: &RawResponse,
        result: &Result<T, VendorError>,
    ) {
        let failure = result.as_ref().err();
        http::count(VENDOR, context.call, failure.map(|error| error.class));
        self.note(result.as_ref().map(|_| ()), is_own(&answer.body));
    }

    /// Rejects an empty or malformed id: it would change which endpoint is called (`DELETE …/live_inputs/`).
    fn url(&self, call: &ApiCall<'_>) -> Result<Url, VendorError> {
        let rejected = |message: &str| {
            failure(
                VENDOR,
                call.name,
                Class::Rejected,
                Done::No,
                message.to_owned(),
            )
        };
        if !call.path.iter().all(|segment| is_id(segment)) {
            return Err(rejected("the account id or the object's id is invalid"));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| rejected("cloudflare.api_base_url cannot be a base"))?
            .pop_if_empty()
            .extend(&call.path);
        for (key, value) in &call.query {
            url.query_pairs_mut().append_pair(key, value);
        }
        Ok(url)
    }

    /// A refusal about an object (not found, conflict) proves credentials and reachability if the API wrote it
    /// (`is_own`).
    fn note(&self, outcome: Result<(), &VendorError>, is_own: bool) {
        match outcome {
            Ok(()) => self.health.succeeded(),
            Err(error) => match error.class {
                Class::NotFound | Class::Conflict | Class::Rejected | Class::Quota => {
                    if is_own {
                        self.health.succeeded();
                    }
                }
                Class::Unauthorized
                | Class::RateLimited
                | Class::Unavailable
                | Class::Timeout
                | Class::Unexpected => self.health.failed(error),
            },
        }
    }
}
