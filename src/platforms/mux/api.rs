//! One call to Mux's API, with its credentials and permit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::VENDOR;
use super::refusal::{RefusalContext, is_own};
use crate::config::{MuxSettings, VendorsSettings};
use crate::platforms::wire::is_id;
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::health::CallHealth;
use crate::vendors::http::{self, RawResponse, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

/// The pause after a 429 that names no wait.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct MuxApi {
    client: reqwest::Client,
    base: Url,
    secret: SecretString,
    authorization: HeaderValue,
    /// For all methods but POST (`mux.md §1.3`).
    reads: Governor,
    /// For POST.
    writes: Governor,
    read_timeout: Duration,
    write_timeout: Duration,
    lease: Lease,
    health: Arc<CallHealth>,
}

#[derive(Debug)]
pub(super) struct MuxCall<'a> {
    name: &'static str,
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl<'a> MuxCall<'a> {
    /// `path`: the segments after the base URL.
    pub(super) fn new(name: &'static str, method: Method, path: &[&'a str]) -> Self {
        Self {
            name,
            method,
            path: path.to_vec(),
            query: Vec::new(),
            body: None,
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
}

impl MuxApi {
    pub(super) fn new(
        settings: &MuxSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        let pair = format!(
            "{}:{}",
            settings.token_id,
            settings.token_secret.expose_secret()
        );
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: http::client(
                concat!("relaykeeper/", env!("CARGO_PKG_VERSION")),
                vendors.idle_connections,
            )?,
            base: Url::parse(&settings.api_base_url).context("mux.api_base_url is not a URL")?,
            secret: settings.token_secret.clone(),
            authorization,
            reads: Governor::per_second("mux_reads", settings.reads_per_second),
            writes: Governor::per_second("mux_writes", settings.writes_per_second),
            read_timeout: vendors.read_timeout,
            write_timeout: vendors.write_timeout,
            lease: lease.clone(),
            health: Arc::default(),
        })
    }

    pub(super) fn governors(&self) -> [&Governor; 2] {
        [&self.reads, &self.writes]
    }

    pub(super) fn health(&self) -> &CallHealth {
        &self.health
    }

    /// The answer's `data`. `flaw` says why it does not prove that the call took effect.
    pub(super) async fn data<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        call: MuxCall<'_>,
        flaw: impl FnOnce(&T) -> Option<&'static str>,
    ) -> Result<T, VendorError> {
        self.read(permit, call, "data", flaw).await
    }

    /// The whole answer.
    pub(super) async fn page(
        &self,
        permit: PermitRequest,
        call: MuxCall<'_>,
    ) -> Result<Value, VendorError> {
        self.read(permit, call, "", |_| None).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        call: MuxCall<'_>,
        member: &str,
        flaw: impl FnOnce(&T) -> Option<&'static str>,
    ) -> Result<T, VendorError> {
        let context = self.context(&call);
        let answer = self.exchange(permit, call).await?;
        let body = serde_json::from_slice::<Value>(&answer.body).ok();
        let data = match member {
            "" => body,
            member => body.and_then(|mut body| body.get_mut(member).map(Value::take)),
        };
        // Omits serde's error: it may quote a stream key.
        let data = data.and_then(|data| serde_json::from_value(data).ok());
        let result = match data {
            None => Err(context.unexpected(&answer, "an answer of another shape than documented")),
            Some(data) => match flaw(&data) {
                Some(what) => Err(context.unexpected(&answer, what)),
                None => Ok(data),
            },
        };
        self.conclude(context, &answer, &result);
        result
    }

    /// Makes a call whose answer's body does not matter, unless it is a web page.
    pub(super) async fn send(
        &self,
        permit: PermitRequest,
        call: MuxCall<'_>,
    ) -> Result<(), VendorError> {
        let context = self.context(&call);
        let answer = self.exchange(permit, call).await?;
        let result = match answer.is_page() {
            true => Err(context.unexpected(&answer, "a web page")),
            false => Ok(()),
        };
        self.conclude(context, &answer, &result);
        result
    }

    pub(super) async fn environment(&self, permit: PermitRequest) -> Result<String, VendorError> {
        let path = ["system", "v1", "whoami"];
        let call = MuxCall::new("system.whoami", Method::GET, &path);
        let who: Value = self.data(permit, call, |_| None).await?;
        let words = ["environment_name", "environment_type", "environment_id"];
        let words = words.iter().filter_map(|key| who.get(*key)?.as_str());
        Ok(words.collect::<Vec<_>>().join(", "))
    }

    fn context(&self, call: &MuxCall<'_>) -> RefusalContext<'_> {
        RefusalContext {
            call: call.name,
            writes: call.method != Method::GET,
            secret: self.secret.expose_secret(),
        }
    }

    /// Neither records nor counts a 2xx.
    async fn exchange(
        &self,
        permit: PermitRequest,
        call: MuxCall<'_>,
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
        let governor = match call.method == Method::POST {
            true => &self.writes,
            false => &self.reads,
        };
        let permit = governor
            .permit(permit)
            .await
            .map_err(|denied| http::without_permit(VENDOR, call.name, denied.retry_after))?;
        let mut request = self
            .client
            .request(call.method, url)
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = match http::send(VENDOR, call.name, request, timeout, &self.lease).await {
            Ok(answer) => answer,
            Err(mut error) => {
                if !context.writes {
                    error.done = Done::No;
                }
                self.health.failed(&error);
                return Err(error);
            }
        };
        permit.answered(None);
        tracing::debug!(call = call.name, status = answer.status, "mux answered");
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let mut error = context.refused(&answer);
        if error.class == Class::RateLimited {
            let pause = error.retry_after.unwrap_or(PAUSE);
            error.retry_after = Some(pause);
            governor.pause(pause);
        }
        let refused = Err(error);
        self.conclude(context, &answer, &refused);
        refused
    }

    /// A refusal about an object proves credentials and reachability if Mux wrote it.
    fn conclude<T>(
        &self,
        context: RefusalContext<'_>,
        answer: &RawResponse,
        result: &Result<T, VendorError>,
    ) {
        let failure = result.as_ref().err();
        http::count(VENDOR, context.call, failure.map(|error| error.class));
        match failure {
            None => self.health.succeeded(),
            Some(error) => match error.class {
                Class::NotFound | Class::Conflict | Class::Rejected | Class::Quota => {
                    if is_own(answer) {
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

    /// Rejects an empty or malformed id: it would change which endpoint is called.
    fn url(&self, call: &MuxCall<'_>) -> Result<Url, VendorError> {
        let rejected = |message: &str| {
            let message = message.to_owned();
            failure(VENDOR, call.name, Class::Rejected, Done::No, message)
        };
        if !call.path.iter().all(|segment| is_id(segment)) {
            return Err(rejected("the object's id is invalid"));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| rejected("mux.api_base_url cannot be a base"))?
            .pop_if_empty()
            .extend(&call.path);
        for (key, value) in &call.query {
            url.query_pairs_mut().append_pair(key, value);
        }
        Ok(url)
    }
}
