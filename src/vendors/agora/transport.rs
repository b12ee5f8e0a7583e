//! One call over HTTP: credentials, domains, permits.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::AgoraSetupError;
use super::answer::Reply;
use super::domains::Domains;
use crate::config;
use crate::vendors::governor::{Governor, Permit, PermitRequest};
use crate::vendors::health::CallHealth;
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, Vendor, VendorError, http};

/// Older documents require the charset (`agora.md §1.4`).
const JSON: &str = "application/json;charset=utf-8";

/// The pause after a 429 that names no wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Changes nothing: tries the same domain again, then the next.
    Read,
    /// Idempotent: tries the next domain.
    Harmless,
    /// Not idempotent: tries the next domain only if the attempt surely did not arrive.
    Never,
}

pub(super) struct Request<'a> {
    pub(super) call: &'static str,
    pub(super) method: Method,
    /// The encoded path after the base URL.
    pub(super) path: String,
    pub(super) body: Option<String>,
    pub(super) repeat: Repeat,
    pub(super) request_id: bool,
    /// Removed from errors.
    pub(super) secrets: Vec<&'a str>,
}

impl<'a> Request<'a> {
    pub(super) fn read(call: &'static str, path: String) -> Self {
        Self {
            call,
            method: Method::GET,
            path,
            body: None,
            repeat: Repeat::Read,
            request_id: false,
            secrets: Vec::new(),
        }
    }

    pub(super) fn post(
        call: &'static str,
        path: String,
        body: &impl serde::Serialize,
        repeat: Repeat,
        secrets: Vec<&'a str>,
    ) -> Result<Self, VendorError> {
        let body = serde_json::to_string(body).map_err(|_| {
            let message = "the request cannot be written as JSON".to_owned();
            http::failure(Vendor::Agora, call, Class::Rejected, Done::No, message)
        })?;
        Ok(Self {
            method: Method::POST,
            body: Some(body),
            repeat,
            secrets,
            ..Self::read(call, path)
        })
    }
}

#[derive(Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    authorization: HeaderValue,
    /// Removed from all errors.
    secrets: Vec<SecretString>,
    domains: Domains,
    read_timeout: Duration,
    write_timeout: Duration,
    lease: Lease,
    health: CallHealth,
}

impl Transport {
    pub(super) fn new(
        settings: &config::AgoraSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, AgoraSetupError> {
        let id = &settings.customer_id;
        let pair = format!("{id}:{}", settings.customer_secret.expose_secret());
        // Base64 is always a valid header.
        let credential = STANDARD.encode(pair);
        let mut authorization = HeaderValue::from_str(&format!("Basic {credential}"))
            .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        authorization.set_sensitive(true);
        let bases = std::iter::once(&settings.api_base_url).chain(&settings.fallback_base_urls);
        let domains = Domains::new(bases.map(String::as_str))?;
        Ok(Self {
            client: http::client(http::USER_AGENT, vendors.idle_connections)?,
            authorization,
            secrets: vec![
                // An echo may encode the padding.
                credential.trim_end_matches('=').into(),
                settings.customer_secret.clone(),
                settings.cloud_recording.storage.access_key.clone(),
                settings.cloud_recording.storage.secret_key.clone(),
            ],
            domains,
            read_timeout: vendors.read_timeout,
            write_timeout: vendors.write_timeout,
            lease: lease.clone(),
            health: CallHealth::default(),
        })
    }

    pub(super) fn health(&self) -> &CallHealth {
        &self.health
    }

    async fn attempt(
        &self,
        base: &str,
        request: &Request<'_>,
    ) -> Result<http::RawResponse, VendorError> {
        let mut builder = self
            .client
            .request(request.method.clone(), format!("{base}{}", request.path))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, JSON);
        let request_id = request.request_id.then(|| Uuid::new_v4().to_string());
        if let Some(id) = &request_id {
            builder = builder.header("X-Request-ID", id);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let timeout = match request.repeat {
            Repeat::Read => self.read_timeout,
            Repeat::Harmless | Repeat::Never => self.write_timeout,
        };
        let (vendor, lease) = (Vendor::Agora, &self.lease);
        let answer = http::send(vendor, request.call, builder, timeout, lease).await?;
        // Agora's support asks for these (`agora.md §1.4`).
        tracing::debug!(
            call = request.call,
            domain = base,
            status = answer.status,
            request_id,
            answered_request_id = ?answer.headers.get("x-request-id"),
            custom_request_id = ?answer.headers.get("x-custom-request-id"),
            resource_id = ?answer.headers.get("x-resource-id"),
            "agora answered"
        );
        Ok(answer)
    }
}

#[derive(Debug, Clone)]
pub(super) struct ProductClient {
    transport: Arc<Transport>,
    governor: Governor,
}

/// Whether a URL keeps the path as it is written: `.` and `..` are dropped, an empty part shifts the others.
fn is_one_path(path: &str) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
    parts.all(|part| !matches!(part, "" | "." | ".."))
}

impl ProductClient {
    pub(super) fn new(transport: Arc<Transport>, governor: Governor) -> Self {
        Self {
            transport,
            governor,
        }
    }

    /// Each attempt takes a permit.
    pub(super) async fn exchange(
        &self,
        permit_request: PermitRequest,
        request: &Request<'_>,
    ) -> Result<Reply, VendorError> {
        let permit = self.permits(permit_request, 1, request.call).await?;
        self.exchange_with(permit, permit_request, request).await
    }

    /// `permit` is for the first attempt.
    pub(super) async fn exchange_with(
        &self,
        permit: Permit,
        permit_request: PermitRequest,
        request: &Request<'_>,
    ) -> Result<Reply, VendorError> {
        if !is_one_path(&request.path) {
            let message =
                "a part of the path is empty, \".\" or \"..\": it would change which endpoint is called"
                    .to_owned();
            let (vendor, call) = (Vendor::Agora, request.call);
            return Err(http::failure(
                vendor,
                call,
                Class::Rejected,
                Done::No,
                message,
            ));
        }
        let mut permit = Some(permit);
        let domains = &self.transport.domains;
        let mut attempts = domains.order(Instant::now());
        if let (Repeat::Read, Some(first)) = (request.repeat, attempts.first().copied()) {
            attempts.insert(0, first);
        }
        let first = attempts.first().map_or(0, |(place, _)| *place);
        let mut may_have_arrived = false;
        let mut failure: Option<VendorError> = None;
        for (place, base) in attempts {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => match self.permits(permit_request, 1, request.call).await {
                    Ok(permit) => permit,
                    Err(_) => break,
                },
            };
            match self.transport.attempt(base, request).await {
                Ok(answer) => {
                    permit.answered(None);
                    if place != first {
                        domains.prefer(place, Instant::now());
                    }
                    return Ok(self.record_answer(answer, request, place != 0 || may_have_arrived));
                }
                Err(error) => {
                    let arrived = error.done == Done::Unknown && request.repeat != Repeat::Read;
                    may_have_arrived |= arrived;
                    failure = Some(error);
                    if arrived && request.repeat == Repeat::Never {
                        // The caller polls for the outcome; the poll must not wait for the same silent domain.
                        domains.prefer(domains.after(place), Instant::now());
                        break;
                    }
                }
            }
        }
        let mut failure = failure.unwrap_or_else(|| {
            let message = "no domain to call".to_owned();
            http::failure(
                Vendor::Agora,
                request.call,
                Class::Unavailable,
                Done::No,
                message,
            )
        });
        failure.done = if may_have_arrived {
            Done::Unknown
        } else {
            Done::No
        };
        self.transport.health.failed(&failure);
        Err(failure)
    }

    /// Like [`Reply::documented`], but recorded: only a documented body proves reachability and credentials.
    pub(super) fn documented<T>(
        &self,
        reply: &Reply,
        missing: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, VendorError> {
        let read = reply.documented(missing, read);
        self.conclude(reply, &read);
        read
    }

    /// Counts and records a 2xx answer. Others were counted on arrival, but one that the caller accepts proves
    /// reachability too.
    pub(super) fn conclude<T>(&self, reply: &Reply, read: &Result<T, VendorError>) {
        let failure = read.as_ref().err();
        if reply.is_success() {
            let class = failure.map(|error| error.class);
            http::count(Vendor::Agora, reply.call, class);
        }
        match failure {
            None => self.transport.health.succeeded(),
            Some(error) if reply.is_success() => self.transport.health.failed(error),
            Some(_) => {}
        }
    }

    fn record_answer(
        &self,
        answer: http::RawResponse,
        request: &Request<'_>,
        failed_over: bool,
    ) -> Reply {
        let mut secrets = request.secrets.clone();
        secrets.extend(
            self.transport
                .secrets
                .iter()
                .map(ExposeSecret::expose_secret),
        );
        let changes = request.repeat != Repeat::Read;
        let reply = Reply::new(request.call, answer, changes, failed_over, &secrets);
        if reply.is_success() {
            return reply;
        }
        let refused = reply.refused();
        // 206: something is left open, or there was nothing to do.
        let is_failure = reply.status != 206 || reply.is_backend_timeout();
        let failure = is_failure.then_some(refused.class);
        http::count(Vendor::Agora, request.call, failure);
        let refuses_one_request = matches!(
            refused.class,
            Class::Rejected | Class::NotFound | Class::Conflict
        );
        if refuses_one_request || reply.status == 206 {
            if reply.is_own() {
                self.transport.health.succeeded();
            }
        } else {
            self.transport.health.failed(&refused);
        }
        if refused.class == Class::RateLimited {
            self.governor.pause(refused.retry_after.unwrap_or(PAUSE));
        }
        reply
    }

    pub(super) async fn permits(
        &self,
        permit_request: PermitRequest,
        permits: u32,
        call: &'static str,
    ) -> Result<Permit, VendorError> {
        if !self.transport.lease.ready(permit_request.until).await {
            return Err(http::without_lease(Vendor::Agora, call));
        }
        self.governor
            .permits(permit_request, permits)
            .await
            .map_err(|denied| http::without_permit(Vendor::Agora, call, denied.retry_after))
    }
}
