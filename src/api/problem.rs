//! Errors as RFC 9457 problems. The list of codes is closed ([`Code`]): clients branch on them.

mod code;

use std::io::ErrorKind;

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use code::Code;

use crate::actors::view::RelayView;
use crate::relay::{Durable, Failure};
use crate::store::StoreError;
use crate::vendors::{Class, VendorError};

/// Identifies a request, in requests and answers.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901), or `/` and the name of a parameter or header.
    pub pointer: String,
    /// What.
    pub detail: String,
}

/// The most of what is wrong that one answer tells.
const MOST_ERRORS: usize = 50;
/// The longest text of a caller's that an answer repeats, in characters.
const LONGEST_ECHO: usize = 300;
/// The longest detail, which may hold a vendor's words.
const LONGEST_DETAIL: usize = 2000;

/// A text of others, as far as it is repeated.
fn echo(text: &str, longest: usize) -> String {
    let mut echo: String = text.chars().take(longest).collect();
    if echo.len() < text.len() {
        echo.push('…');
    }
    echo
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    relay_id: Option<Uuid>,
    relay: Option<RelayView>,
    allow: Option<String>,
    challenge: Option<&'static str>,
    retry_after: Option<u64>,
    instance: Option<String>,
    request_id: Option<String>,
}

impl Problem {
    /// A problem with this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            status: code.status(),
            detail: echo(&detail.into(), LONGEST_DETAIL),
            errors: Vec::new(),
            relay_id: None,
            relay: None,
            allow: None,
            challenge: None,
            retry_after: code.retry_after(),
            instance: None,
            request_id: None,
        }))
    }

    /// 404 `not-found`.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 500 `internal`: the reason is for the log, not for the caller.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "The request could not be carried out. The log says why.";
        Self::new(Code::Internal, detail)
    }

    /// 400 `invalid-request`: it cannot be read.
    #[must_use]
    pub fn unreadable(errors: Vec<FieldError>) -> Self {
        let detail = "The request cannot be read; see errors.";
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.tells(errors);
        problem
    }

    /// 422 `invalid-request`: it can be read, and says something it may not.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "The request is not valid; see errors.";
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.status = StatusCode::UNPROCESSABLE_ENTITY;
        problem.tells(errors);
        problem
    }

    fn tells(&mut self, errors: Vec<FieldError>) {
        let told = errors.into_iter().take(MOST_ERRORS);
        self.0.errors = told
            .map(|error| FieldError {
                pointer: echo(&error.pointer, LONGEST_ECHO),
                ..error
            })
            .collect();
    }

    /// 400 `invalid-request` about one parameter or header.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::unreadable(vec![FieldError {
            pointer: format!("/{name}"),
            detail: detail.into(),
        }])
    }

    /// 400 `invalid-request`: the whole body is not what it should be.
    #[must_use]
    pub fn body(detail: impl Into<String>) -> Self {
        Self::unreadable(vec![FieldError {
            pointer: String::new(),
            detail: detail.into(),
        }])
    }

    /// 415 `invalid-request`: the body bears a content coding.
    #[must_use]
    pub(super) fn coded(coding: &str) -> Self {
        let detail =
            format!("A body with Content-Encoding: {coding} is not read: send it without.");
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        problem
    }

    /// 405 with what the route knows.
    #[must_use]
    pub(super) fn method_not_allowed(allow: impl Into<String>) -> Self {
        let allow = allow.into();
        let mut problem = Self::new(Code::MethodNotAllowed, format!("Allowed: {allow}."));
        problem.0.allow = Some(allow);
        problem
    }

    /// 401 that asks for a bearer token.
    #[must_use]
    pub(super) fn unauthorized(detail: &str, challenge: &'static str) -> Self {
        let mut problem = Self::new(Code::Unauthorized, detail);
        problem.0.challenge = Some(challenge);
        problem
    }

    /// What went wrong, for machines.
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// What went wrong, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What it asks a caller who is not known to come with.
    pub(super) fn challenge(&self) -> Option<&'static str> {
        self.0.challenge
    }

    /// Whether nobody knows who is calling.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.0.code == Code::Unauthorized
    }

    /// A start whose relay failed while it waited.
    #[must_use]
    pub(super) fn failed_start(durable: &Durable) -> Self {
        let outcome = durable.outcome.as_ref();
        let code = outcome.map_or(Code::Internal, |end| Code::of_outcome(end.code));
        let failure = outcome.and_then(|end| end.detail.failure.as_ref());
        let sentence = outcome.map_or("The relay failed.", |end| end.code.sentence());
        let detail = match failure {
            Some(failure) => format!(
                "{sentence} {} {}: {}",
                failure.vendor, failure.call, failure.message
            ),
            None => sentence.to_owned(),
        };
        let asked = failure
            .and_then(Failure::asked_wait)
            .map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1));
        let mut problem = Self::new(code, detail);
        problem.0.relay_id = Some(durable.spec.relay_id);
        problem.0.retry_after = problem.0.retry_after.map(|usual| asked.unwrap_or(usual));
        problem
    }

    /// Says when a repeat may help.
    #[must_use]
    pub(super) fn retry_in(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Carries the relay it is about.
    #[must_use]
    pub(super) fn about(mut self, relay_id: Uuid, relay: Option<RelayView>) -> Self {
        self.0.relay_id = Some(relay_id);
        self.0.relay = relay;
        self
    }

    /// Says which request it answers.
    #[must_use]
    pub(super) fn answering(mut self, instance: &str, request_id: &str) -> Self {
        self.0.instance = Some(echo(instance, LONGEST_ECHO));
        self.0.request_id = Some(request_id.to_owned());
        self
    }

    /// What the framework, or a handler of ours, refused with.
    pub(super) fn of(error: &actix_web::Error) -> Self {
        if let Some(problem) = error.as_error::<Self>() {
            return problem.clone();
        }
        if let Some(PayloadError::Io(error)) = error.as_error::<PayloadError>() {
            if error.kind() == ErrorKind::TimedOut {
                return Self::body("it did not arrive in time");
            }
            if error.kind() == ErrorKind::QuotaExceeded {
                return Self::new(Code::RateLimited, "Too many request bodies are being read.");
            }
        }
        Self::of_status(error.as_response_error().status_code(), None)
    }

    /// What the framework refused with, without a word.
    pub(super) fn of_status(status: StatusCode, allow: Option<String>) -> Self {
        let code = Code::of_status(status);
        match (code, allow) {
            (Code::MethodNotAllowed, Some(allow)) => Self::method_not_allowed(allow),
            (Code::Internal, _) => Self::internal(),
            (Code::TooLarge, _) => Self::new(code, "The body is longer than this route reads."),
            (Code::NotFound, _) => Self::not_found("No route leads here."),
            (code, _) => Self::new(code, status.canonical_reason().unwrap_or_default()),
        }
    }
}

/// An error: RFC 9457's members, and ours.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// `urn:relaykeeper:problem:` and the code.
    r#type: String,
    /// What went wrong, for machines: a closed list.
    #[schema(value_type = Code)]
    code: &'static str,
    /// The same for people; it belongs to the code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// The request's name in the log, also in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The relay it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay_id: Option<Uuid>,
    /// All that is wrong with the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The relay that is in the way of a start (`conflict`).
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<&'a RelayView>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let code: &'static str = self.0.code.into();
        let body = Body {
            r#type: format!("urn:relaykeeper:problem:{code}"),
            code,
            title: self.0.code.title(),
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            instance: self.0.instance.as_deref(),
            request_id: self.0.request_id.as_deref(),
            relay_id: self.0.relay_id,
            errors: &self.0.errors,
            relay: self.0.relay.as_ref(),
        };
        let mut answer = HttpResponse::build(self.0.status);
        answer
            .content_type("application/problem+json")
            .insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.0.retry_after {
            answer.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.0.allow {
            answer.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(challenge) = self.0.challenge {
            answer.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if let Some(id) = &self.0.request_id {
            answer.insert_header((X_REQUEST_ID, id.as_str()));
        }
        answer.body(serde_json::to_string(&body).unwrap_or_default())
    }
}

impl From<&VendorError> for Problem {
    fn from(error: &VendorError) -> Self {
        let code = match error.class {
            Class::Unauthorized => Code::VendorUnauthorized,
            Class::RateLimited => Code::VendorRateLimited,
            Class::Quota => Code::VendorQuota,
            Class::Unavailable | Class::Unexpected => Code::VendorUnavailable,
            Class::Timeout => Code::VendorTimeout,
            Class::Rejected | Class::NotFound | Class::Conflict => Code::VendorRejected,
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadCursor => Self::parameter("cursor", "not a cursor of this list"),
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "a read found no database");
                Self::new(Code::Database, "The database does not answer.")
            }
            StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::BadUrl(_) => {
                tracing::error!(%error, "a read failed");
                Self::internal()
            }
        }
    }
}
