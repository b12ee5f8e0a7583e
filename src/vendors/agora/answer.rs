//! What Agora's answers mean, whatever product they come from.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::vendors::http::{by_status, retry_after};
use crate::vendors::number::whole;
use crate::vendors::redact::redact;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// The most of a vendor's words an error keeps, in characters.
const WORDS: usize = 300;

/// An HTTP answer to one of our calls, whatever its status. Its body may echo a stream key, so it is not printed.
pub(super) struct Reply {
    pub(super) call: &'static str,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The body; null when it is no JSON.
    pub(super) json: Value,
    /// The body is a web page: not the API's own answer, whatever its status says.
    is_page: bool,
    /// It has no body.
    is_empty: bool,
    /// It came from another domain than the first in the settings, or after an attempt that may have been carried out:
    /// a 404 in it says even less than usual.
    pub(super) failed_over: bool,
    /// What the call was.
    pub(super) changes: bool,
    /// The vendor's own words, secrets removed.
    pub(super) words: String,
}

impl Reply {
    /// Reads a body; `secrets` is what the request held.
    pub(super) fn new(
        call: &'static str,
        answer: crate::vendors::http::RawResponse,
        changes: bool,
        failed_over: bool,
        secrets: &[&str],
    ) -> Self {
        let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let words = redact(&words(&json, &answer.body), secrets);
        Self {
            call,
            status: answer.status,
            is_page: answer.is_page(),
            is_empty: answer.is_empty(),
            headers: answer.headers,
            json,
            failed_over,
            changes,
            words: words.chars().take(WORDS).collect(),
        }
    }

    /// The body's `code` (Cloud Recording).
    pub(super) fn code(&self) -> Option<i64> {
        whole(self.json.get("code")?)
    }

    /// Whether a refusal is Agora's own: one of the three shapes of its error bodies (`agora.md §1.3`).
    pub(super) fn is_own(&self) -> bool {
        let text = |key| self.json.get(key).is_some_and(Value::is_string);
        let code = self.json.get("code");
        code.is_some_and(|code| code.is_number() || code.is_string())
            || text("reason")
            || text("message")
    }

    /// Whether another than Agora wrote a refusal: a page, plain text, the JSON of others, a body that was cut. One without a
    /// body counts as Agora's.
    pub(super) fn is_foreign(&self) -> bool {
        !self.is_own() && !self.is_empty
    }

    /// 2xx of the API itself, but not Agora's 206, which says that something is left open. It proves that a call was carried
    /// out only where the documented answer has no body; for others see [`Self::documented`].
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.status) && self.status != 206 && !self.is_page
    }

    /// What a 2xx answer shows, where the documents describe its body.
    ///
    /// # Errors
    /// The refusal that the answer is; or, when `read` does not find what is documented, an unknown outcome.
    pub(super) fn documented<T>(
        &self,
        missing: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, VendorError> {
        if !self.is_done() {
            return Err(self.refused());
        }
        read(&self.json).ok_or_else(|| self.unexpected(missing))
    }

    /// 404 of the API itself; the gateway's 404 for a wrong path is none (`agora.md §7.1`), nor is one that another wrote.
    pub(super) fn is_not_found(&self) -> bool {
        let no_route = self.words.to_ascii_lowercase().contains("no route");
        self.status == 404 && !self.is_foreign() && !no_route && !self.is_left_open()
    }

    /// Codes 62 and 65: a back end of Agora's got the call and did not answer in time, whatever the HTTP status. At acquire 62
    /// says that the service is not enabled (`agora.md §7.1`).
    pub(super) fn is_left_open(&self) -> bool {
        matches!(self.code(), Some(62 | 65)) && self.call != "cloud_recording.acquire"
    }

    /// 401 or 403 in Agora's own words (`agora.md §7.3`): `{"message": "Invalid authentication credentials"}` of its gateway,
    /// or a `reason`. Pages, empty bodies and the JSON of others, such as `{"message": "Forbidden"}`, refuse nothing.
    fn refuses_credentials(&self) -> bool {
        let message = self.json.get("message").and_then(Value::as_str);
        let message = message.unwrap_or_default().to_ascii_lowercase();
        self.json.get("reason").is_some_and(Value::is_string)
            || ["credential", "permission", "auth"]
                .iter()
                .any(|word| message.contains(word))
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The error this answer is, for a call that does not expect it.
    pub(super) fn refused(&self) -> VendorError {
        let (class, done) = classify(self);
        self.error(class, done, self.words.clone())
    }

    /// An answer that does not follow the documents: nobody knows whether it was carried out.
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

/// Class and outcome of an answer that is no success (`agora.md §7`).
fn classify(reply: &Reply) -> (Class, Done) {
    let words = reply.words.to_ascii_lowercase();
    match (reply.status, reply.code()) {
        // A proxy answered in the API's place: whether it passed the call on is unknown.
        (..=498, _) if reply.is_foreign() && !matches!(reply.status, 401 | 403 | 408 | 429) => {
            (Class::Unexpected, Done::Unknown)
        }
        _ if reply.is_left_open() => (Class::Timeout, Done::Unknown),
        // 403 is Media Push that was not enabled for the App ID.
        (401 | 403, _) if reply.refuses_credentials() => (Class::Unauthorized, Done::No),
        (401 | 403, _) => (Class::Unavailable, Done::Unknown),
        (404, _) if !reply.is_not_found() => (Class::Rejected, Done::No),
        (404, _) => (Class::NotFound, Done::Unknown),
        (429, _) if reply.is_own() => (too_many(&words), Done::No),
        // Past 10 % of the concurrency Cloud Recording answers 400 (`agora.md §2.7`).
        (400, _) if words.contains("rate limit") || words.contains("qps") => {
            (Class::RateLimited, Done::No)
        }
        (400, Some(406)) => (Class::Quota, Done::No),
        (206 | 504, _) => (Class::Timeout, Done::Unknown),
        (499, _) => (Class::Unavailable, Done::Unknown),
        (status, _) => by_status(status),
    }
}

/// Three causes share 429 (`agora.md §7.4`); only the text tells them apart.
fn too_many(words: &str) -> Class {
    if words.contains("quota") {
        Class::Quota
    } else if words.contains("no available resource") {
        Class::Unavailable
    } else {
        Class::RateLimited
    }
}

/// The text of an error body in any of its three shapes (`agora.md §1.3`), or the body itself when it is short text.
fn words(json: &Value, body: &[u8]) -> String {
    let said: Vec<&str> = ["reason", "message", "msg"]
        .iter()
        .filter_map(|key| json.get(key)?.as_str())
        .collect();
    if !said.is_empty() {
        return said.join("; ");
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match json {
        Value::Null if text.is_empty() => "an empty body".into(),
        Value::Null if text.starts_with('<') => "a page instead of JSON".into(),
        Value::Null => text.chars().take(WORDS).collect(),
        Value::String(said) => said.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            "no reason given".into()
        }
    }
}

/// A text that is not empty.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A list; null stands for an empty one.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    if value.is_null() {
        return Some(&[]);
    }
    value.as_array().map(Vec::as_slice)
}
