//! What Agora's answers mean, for all products.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::vendors::http::{by_status, retry_after};
use crate::vendors::number::whole;
use crate::vendors::redact::redact;
use crate::vendors::{Class, Done, Vendor, VendorError};

const MAX_MESSAGE: usize = 300;

/// Not printable: the body may echo a stream key.
pub(super) struct Reply {
    pub(super) call: &'static str,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Null if the body is not JSON.
    pub(super) json: Value,
    is_page: bool,
    is_empty: bool,
    /// A fallback domain answered, or an earlier attempt may have arrived: a 404 then proves even less.
    pub(super) failed_over: bool,
    pub(super) changes: bool,
    /// Agora's text, redacted.
    pub(super) message: String,
}

impl Reply {
    pub(super) fn new(
        call: &'static str,
        answer: crate::vendors::http::RawResponse,
        changes: bool,
        failed_over: bool,
        secrets: &[&str],
    ) -> Self {
        let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let message = redact(&message_of(&json, &answer.body), secrets);
        Self {
            call,
            status: answer.status,
            is_page: answer.is_page(),
            is_empty: answer.is_empty(),
            headers: answer.headers,
            json,
            failed_over,
            changes,
            message: message.chars().take(MAX_MESSAGE).collect(),
        }
    }

    /// The body's `code` (Cloud Recording).
    pub(super) fn code(&self) -> Option<i64> {
        whole(self.json.get("code")?)
    }

    /// Whether Agora wrote a refusal: its body has one of the three documented shapes (`agora.md §1.3`).
    pub(super) fn is_own(&self) -> bool {
        let text = |key| self.json.get(key).is_some_and(Value::is_string);
        let code = self.json.get("code");
        code.is_some_and(|code| code.is_number() || code.is_string())
            || text("reason")
            || text("message")
    }

    /// Whether a proxy wrote a refusal: a page, text, other JSON. An empty body counts as Agora's.
    pub(super) fn is_foreign(&self) -> bool {
        !self.is_own() && !self.is_empty
    }

    /// A 2xx of the API except 206, which leaves something open. It proves success only where no body is documented;
    /// otherwise use [`Self::documented`].
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && self.status != 206 && !self.is_page
    }

    /// Reads the body of a 2xx answer; [`Done::Unknown`] if `read` finds no documented one.
    pub(super) fn documented<T>(
        &self,
        missing: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, VendorError> {
        if !self.is_success() {
            return Err(self.refused());
        }
        read(&self.json).ok_or_else(|| self.unexpected(missing))
    }

    /// A 404 of the API, not of the gateway for a wrong path (`agora.md §7.1`) or of a proxy.
    pub(super) fn is_not_found(&self) -> bool {
        let no_route = self.message.to_ascii_lowercase().contains("no route");
        self.status == 404 && !self.is_foreign() && !no_route && !self.is_backend_timeout()
    }

    /// Codes 62 and 65, with any HTTP status: an Agora back end got the call and did not answer in time. At acquire,
    /// 62 means that the service is not enabled (`agora.md §7.1`).
    pub(super) fn is_backend_timeout(&self) -> bool {
        matches!(self.code(), Some(62 | 65)) && self.call != "cloud_recording.acquire"
    }

    /// Whether a 401 or 403 refuses the credentials (`agora.md §7.3`). A proxy's `{"message": "Forbidden"}` does not.
    fn refuses_credentials(&self) -> bool {
        let message = self.json.get("message").and_then(Value::as_str);
        let message = message.unwrap_or_default().to_ascii_lowercase();
        self.json.get("reason").is_some_and(Value::is_string)
            || ["credential", "permission", "auth"]
                .iter()
                .any(|word| message.contains(word))
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn refused(&self) -> VendorError {
        let (class, done) = classify(self);
        self.error(class, done, self.message.clone())
    }

    pub(super) fn unexpected(&self, what: &str) -> VendorError {
        self.error(Class::Unexpected, Done::Unknown, what.to_owned())
    }

    fn error(&self, class: Class, done: Done, message: String) -> VendorError {
        VendorError {
            vendor: Vendor::Agora,
            call: self.call,
            class,
            done: if self.changes { done } else { Done::No },
            status: Some(self.status),
            code: self.code(),
            message,
            retry_after: retry_after(&self.headers),
        }
    }
}

/// Class and outcome of a refusal (`agora.md §7`).
fn classify(reply: &Reply) -> (Class, Done) {
    let message = reply.message.to_ascii_lowercase();
    match (reply.status, reply.code()) {
        // A proxy answered: whether it forwarded the call is unknown.
        (..=498, _) if reply.is_foreign() && !matches!(reply.status, 401 | 403 | 408 | 429) => {
            (Class::Unexpected, Done::Unknown)
        }
        _ if reply.is_backend_timeout() => (Class::Timeout, Done::Unknown),
        // 403: Media Push is not enabled for the App ID.
        (401 | 403, _) if reply.refuses_credentials() => (Class::Unauthorized, Done::No),
        (401 | 403, _) => (Class::Unavailable, Done::Unknown),
        (404, _) if !reply.is_not_found() => (Class::Rejected, Done::No),
        (404, _) => (Class::NotFound, Done::Unknown),
        (429, _) if reply.is_own() => (too_many(&message), Done::No),
        // Cloud Recording answers 400 above 10 % of the concurrency (`agora.md §2.7`).
        (400, _) if message.contains("rate limit") || message.contains("qps") => {
            (Class::RateLimited, Done::No)
        }
        (400, Some(406)) => (Class::Quota, Done::No),
        (206 | 504, _) => (Class::Timeout, Done::Unknown),
        (499, _) => (Class::Unavailable, Done::Unknown),
        (status, _) => by_status(status),
    }
}

/// 429 has three causes (`agora.md §7.4`) that only the text distinguishes.
fn too_many(message: &str) -> Class {
    if message.contains("quota") {
        Class::Quota
    } else if message.contains("no available resource") {
        Class::Unavailable
    } else {
        Class::RateLimited
    }
}

/// The text of an error body of any shape (`agora.md §1.3`), or a short text body.
fn message_of(json: &Value, body: &[u8]) -> String {
    let texts: Vec<&str> = ["reason", "message", "msg"]
        .iter()
        .filter_map(|key| json.get(key)?.as_str())
        .collect();
    if !texts.is_empty() {
        return texts.join("; ");
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match json {
        Value::Null if text.is_empty() => "an empty body".into(),
        Value::Null if text.starts_with('<') => "a page instead of JSON".into(),
        Value::Null => text.chars().take(MAX_MESSAGE).collect(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            "no reason given".into()
        }
    }
}

pub(super) fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Null counts as empty.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    if value.is_null() {
        return Some(&[]);
    }
    value.as_array().map(Vec::as_slice)
}
