//! One call to a platform's API: lease, permit, exchange, health. What its answers mean is the platform's own.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Request, RequestBuilder};
use serde_json::Value;
use url::Url;

use super::wire::is_id;
use crate::config::VendorsSettings;
use crate::vendors::governor::{Governor, PermitRequest, QuotaReport};
use crate::vendors::health::CallHealth;
use crate::vendors::http::{self, RawResponse, failure, retry_after};
use crate::vendors::lease::Lease;
use crate::vendors::redact::redact;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// What differs between the APIs of platforms.
pub(super) trait PlatformApi: std::fmt::Debug {
    const VENDOR: Vendor;

    /// The pause after a 429 that names no wait.
    const PAUSE: Duration;

    /// The budget that the call counts against.
    fn governor(&self, call: &ApiCall<'_>) -> &Governor;

    /// Adds the credentials to a request that is complete otherwise.
    fn authorize(
        &self,
        request: &mut Request,
    ) -> impl Future<Output = Result<(), VendorError>> + Send;

    /// Removed from all errors.
    fn secret(&self) -> &str;

    /// What an answer other than 2xx means.
    fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError;

    /// Whether the API itself wrote a refusal, and not a proxy.
    fn is_own(answer: &RawResponse) -> bool;

    /// What the answer tells of the quota.
    fn limits(_: &HeaderMap) -> RateLimits {
        RateLimits::default()
    }

    /// The platform's id of the exchange, for its support.
    fn exchange_id(_: &RawResponse) -> Option<&str> {
        None
    }
}

/// What an answer tells of the quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RateLimits {
    /// What is left.
    pub(super) report: Option<QuotaReport>,
    /// How long some quota is exhausted.
    pub(super) exhausted_for: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct ApiCall<'a> {
    pub(super) name: &'static str,
    pub(super) method: Method,
    writes: bool,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    header: Option<(&'static str, &'a str)>,
}

impl<'a> ApiCall<'a> {
    /// `path`: the segments after the base URL.
    pub(super) fn new(name: &'static str, method: Method, path: impl Into<Vec<&'a str>>) -> Self {
        Self {
            name,
            writes: method != Method::GET,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            header: None,
        }
    }

    /// The call changes nothing, whatever its method is.
    pub(super) fn reads(mut self) -> Self {
        self.writes = false;
        self
    }

    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'a str) -> Self {
        self.header = Some((name, value));
        self
    }
}

/// The call that an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsweredCall<'a> {
    pub(super) vendor: Vendor,
    pub(super) call: &'static str,
    pub(super) writes: bool,
    pub(super) secret: &'a str,
}

impl AnsweredCall<'_> {
    /// `text` may hold secrets.
    pub(super) fn error(
        self,
        answer: &RawResponse,
        class: Class,
        done: Done,
        text: &str,
    ) -> VendorError {
        // A failed read changed nothing.
        let done = if self.writes { done } else { Done::No };
        VendorError {
            status: Some(answer.status),
            retry_after: retry_after(&answer.headers),
            ..failure(
                self.vendor,
                self.call,
                class,
                done,
                redact(text, &[self.secret]),
            )
        }
    }

    pub(super) fn unexpected(self, answer: &RawResponse, what: &str) -> VendorError {
        self.error(answer, Class::Unexpected, Done::Unknown, what)
    }
}

/// A client of a platform's API. Clones share its health.
#[derive(Debug, Clone)]
pub(super) struct ApiClient<A> {
    pub(super) api: A,
    client: reqwest::Client,
    base: Url,
    read_timeout: Duration,
    write_timeout: Duration,
    lease: Lease,
    health: Arc<CallHealth>,
}

impl<A: PlatformApi> ApiClient<A> {
    /// Calls only while `lease` is held.
    pub(super) fn new(
        api: A,
        base: Url,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            api,
            client: http::client(http::USER_AGENT, vendors.idle_connections)?,
            base,
            read_timeout: vendors.read_timeout,
            write_timeout: vendors.write_timeout,
            lease: lease.clone(),
            health: Arc::default(),
        })
    }

    pub(super) fn health(&self) -> &CallHealth {
        &self.health
    }

    /// `read`: what a 2xx answer means.
    pub(super) async fn ask<T>(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        read: impl FnOnce(AnsweredCall<'_>, &RawResponse) -> Result<T, VendorError>,
    ) -> Result<T, VendorError> {
        let context = AnsweredCall {
            vendor: A::VENDOR,
            call: call.name,
            writes: call.writes,
            secret: self.api.secret(),
        };
        let governor = self.api.governor(&call);
        let answer = self.exchange(context, permit, governor, call).await?;
        let limits = A::limits(&answer.headers);
        let result = match answer.status {
            200..300 => {
                if let Some(pause) = limits.exhausted_for {
                    governor.pause(pause);
                }
                read(context, &answer)
            }
            _ => {
                let mut error = A::refused(context, &answer);
                if error.class == Class::RateLimited {
                    let named = error.retry_after.or(limits.exhausted_for);
                    let pause = named.unwrap_or(A::PAUSE);
                    error.retry_after = Some(pause);
                    governor.pause(pause);
                }
                Err(error)
            }
        };
        let failure = result.as_ref().err();
        http::count(A::VENDOR, context.call, failure.map(|error| error.class));
        self.note(failure, A::is_own(&answer));
        result
    }

    async fn exchange(
        &self,
        context: AnsweredCall<'_>,
        permit: PermitRequest,
        governor: &Governor,
        call: ApiCall<'_>,
    ) -> Result<RawResponse, VendorError> {
        let (vendor, name) = (A::VENDOR, context.call);
        let timeout = match context.writes {
            true => self.write_timeout,
            false => self.read_timeout,
        };
        let url = self.url(&call)?;
        if !self.lease.ready(permit.until).await {
            return Err(http::without_lease(vendor, name));
        }
        let permit = governor
            .permit(permit)
            .await
            .map_err(|denied| http::without_permit(vendor, name, denied.retry_after))?;
        let request = self.request(url, call).await?;
        let answer = http::send(vendor, name, request, timeout, &self.lease).await;
        let answer = answer.map_err(|mut error| {
            if !context.writes {
                error.done = Done::No;
            }
            self.health.failed(&error);
            error
        })?;
        permit.answered(A::limits(&answer.headers).report);
        tracing::debug!(
            %vendor,
            call = name,
            status = answer.status,
            exchange_id = A::exchange_id(&answer),
            "the platform answered"
        );
        Ok(answer)
    }

    async fn request(&self, url: Url, call: ApiCall<'_>) -> Result<RequestBuilder, VendorError> {
        let name = call.name;
        let mut builder = self.client.request(call.method, url);
        if let Some((name, value)) = call.header {
            builder = builder.header(name, value);
        }
        if let Some(body) = &call.body {
            builder = builder.json(body);
        }
        let mut request = builder.build().map_err(|error| {
            let message = format!("the request cannot be built: {}", error.without_url());
            failure(A::VENDOR, name, Class::Rejected, Done::No, message)
        })?;
        self.api.authorize(&mut request).await?;
        Ok(RequestBuilder::from_parts(self.client.clone(), request))
    }

    /// Rejects an empty or malformed id: it would change which endpoint is called.
    fn url(&self, call: &ApiCall<'_>) -> Result<Url, VendorError> {
        let rejected = |message: &str| {
            let message = message.to_owned();
            failure(A::VENDOR, call.name, Class::Rejected, Done::No, message)
        };
        if !call.path.iter().all(|segment| is_id(segment)) {
            return Err(rejected("the account id or the object's id is invalid"));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| rejected("the API's base URL cannot be a base"))?
            .pop_if_empty()
            .extend(&call.path);
        for (key, value) in &call.query {
            url.query_pairs_mut().append_pair(key, value);
        }
        Ok(url)
    }

    /// A refusal about an object (not found, conflict) proves credentials and reachability if the API wrote it.
    fn note(&self, failure: Option<&VendorError>, is_own: bool) {
        let Some(error) = failure else {
            return self.health.succeeded();
        };
        match error.class {
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
        }
    }
}
