//! Errors as RFC 9457 problems. Clients branch on the closed list of codes ([`Code`]).

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

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The place: a JSON pointer into the body (RFC 6901), or `/` and the name of a parameter or header.
    pub pointer: String,
    /// The mistake.
    pub detail: String,
}

const MOST_ERRORS: usize = 50;
/// Of a caller's text, in characters.
const LONGEST_ECHO: usize = 300;
/// In characters. A detail may quote a vendor.
const LONGEST_DETAIL: usize = 2000;

fn echo(text: &str, longest: usize) -> String {
    let mut echo: String = text.chars().take(longest).collect();
    if echo.len() < text.len() {
        echo.push('…');
    }
    echo
}

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemParts>);

#[derive(Debug, Clone)]
struct ProblemParts {
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
    /// A problem with the code's default status and `Retry-After`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemParts {
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

    /// 500 `internal`. The cause is only logged.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "The request failed. The log has the cause.";
        Self::new(Code::Internal, detail)
    }

    /// 400 `invalid-request`: the request cannot be parsed.
    #[must_use]
    pub fn unreadable(errors: Vec<FieldError>) -> Self {
        let detail = "The request cannot be parsed; see errors.";
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.set_errors(errors);
        problem
    }

    /// 422 `invalid-request`: the request can be parsed, but a value is not allowed.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "The request is not valid; see errors.";
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.status = StatusCode::UNPROCESSABLE_ENTITY;
        problem.set_errors(errors);
        problem
    }

    fn set_errors(&mut self, errors: Vec<FieldError>) {
        let kept = errors.into_iter().take(MOST_ERRORS);
        self.0.errors = kept
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

    /// 400 `invalid-request` about the whole body.
    #[must_use]
    pub fn body(detail: impl Into<String>) -> Self {
        Self::unreadable(vec![FieldError {
            pointer: String::new(),
            detail: detail.into(),
        }])
    }

    #[must_use]
    pub(super) fn coded(coding: &str) -> Self {
        let detail =
            format!("A body with Content-Encoding: {coding} is not read: send it without.");
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        problem
    }

    #[must_use]
    pub(super) fn method_not_allowed(allow: impl Into<String>) -> Self {
        let allow = allow.into();
        let mut problem = Self::new(Code::MethodNotAllowed, format!("Allowed: {allow}."));
        problem.0.allow = Some(allow);
        problem
    }

    #[must_use]
    pub(super) fn unauthorized(detail: &str, challenge: &'static str) -> Self {
        let mut problem = Self::new(Code::Unauthorized, detail);
        problem.0.challenge = Some(challenge);
        problem
    }

    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(super) fn challenge(&self) -> Option<&'static str> {
        self.0.challenge
    }

    pub(super) fn is_unauthorized(&self) -> bool {
        self.0.code == Code::Unauthorized
    }

    /// A start whose relay failed before the response.
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
        let requested = failure
            .and_then(Failure::asked_wait)
            .map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1));
        let mut problem = Self::new(code, detail);
        problem.0.relay_id = Some(durable.spec.relay_id);
        problem.0.retry_after = problem
            .0
            .retry_after
            .map(|usual| requested.unwrap_or(usual));
        problem
    }

    #[must_use]
    pub(super) fn retry_in(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub(super) fn about(mut self, relay_id: Uuid, relay: Option<RelayView>) -> Self {
        self.0.relay_id = Some(relay_id);
        self.0.relay = relay;
        self
    }

    #[must_use]
    pub(super) fn answering(mut self, instance: &str, request_id: &str) -> Self {
        self.0.instance = Some(echo(instance, LONGEST_ECHO));
        self.0.request_id = Some(request_id.to_owned());
        self
    }

    /// `error` is a handler's or the framework's.
    pub(super) fn of(error: &actix_web::Error) -> Self {
        if let Some(problem) = error.as_error::<Self>() {
            return problem.clone();
        }
        if let Some(PayloadError::Io(error)) = error.as_error::<PayloadError>() {
            if error.kind() == ErrorKind::TimedOut {
                return Self::body("it did not arrive in time");
            }
            if error.kind() == ErrorKind::QuotaExceeded {
                return Self::new(
                    Code::RateLimited,
                    "Too many request bodies are being received at once.",
                );
            }
        }
        Self::of_status(error.as_response_error().status_code(), None)
    }

    /// For a response of the framework without a body.
    pub(super) fn of_status(status: StatusCode, allow: Option<String>) -> Self {
        let code = Code::of_status(status);
        match (code, allow) {
            (Code::MethodNotAllowed, Some(allow)) => Self::method_not_allowed(allow),
            (Code::Internal, _) => Self::internal(),
            (Code::TooLarge, _) => Self::new(code, "The body exceeds this route's limit."),
            (Code::NotFound, _) => Self::not_found("There is no such route."),
            (code, _) => Self::new(code, status.canonical_reason().unwrap_or_default()),
        }
    }
}

/// An error: the members of RFC 9457, and this service's.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// `urn:relaykeeper:problem:` and the code.
    r#type: String,
    /// The error's code, from a closed list.
    #[schema(value_type = Code)]
    code: &'static str,
    /// The code's title, the same for every occurrence.
    title: &'static str,
    status: u16,
    /// What went wrong in this case.
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// The request's id in the log and in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay_id: Option<Uuid>,
    /// All mistakes in the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The relay that blocks a start (`conflict`).
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
        let body = ProblemBody {
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
                tracing::warn!(%error, "the database could not be reached");
                Self::new(Code::Database, "The database does not answer.")
            }
            StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::BadUrl(_) => {
                tracing::error!(%error, "a read failed");
                Self::internal()
            }
        }
    }
}
