//! Cloudflare's envelope `{success, errors, messages, result}`, and what a refusal means (`cloudflare-stream.md §1.2, §1.3`).

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::limit::{EnvelopeMessage, Limit};
use crate::vendors::http::{RawResponse, by_status, failure, retry_after};
use crate::vendors::number::whole;
use crate::vendors::redact::redact;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// The longest excerpt of an answer that is no JSON.
const EXCERPT: usize = 80;
/// The longest text of the vendor's own, so that `cf-ray` has room behind it.
const TEXT: usize = 240;

/// What is known of a call when its answer is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The call's name.
    pub(super) call: &'static str,
    /// Whether it changes something.
    pub(super) writes: bool,
    /// A secret that must not be repeated in an error's text.
    pub(super) token: &'a str,
}

impl Context<'_> {
    /// The `result` of a 2xx answer.
    ///
    /// # Errors
    /// When the envelope says the call failed; [`Class::Unexpected`] when there is no `result` of this shape: the call
    /// may have been carried out.
    pub(super) fn result<T: DeserializeOwned>(
        self,
        answer: &RawResponse,
    ) -> Result<T, VendorError> {
        let mut body = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) => body,
            Err(error) => return Err(self.unexpected(answer, &place(&error))),
        };
        if body.get("success").and_then(Value::as_bool) == Some(false) {
            return Err(self.refused(answer));
        }
        let Some(result) = body.get_mut("result").map(Value::take) else {
            return Err(self.unexpected(answer, "no result in the envelope"));
        };
        // serde's own words may repeat what it read, and that may be a stream key.
        serde_json::from_value(result)
            .map_err(|_| self.unexpected(answer, "a result of another shape than documented"))
    }

    /// Checks a 2xx answer of which no body is documented.
    ///
    /// # Errors
    /// When it is a web page, or an envelope that says that the call failed.
    pub(super) fn accepted(self, answer: &RawResponse) -> Result<(), VendorError> {
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let failed = body.get("success").and_then(Value::as_bool) == Some(false);
        if failed || answer.is_page() {
            return Err(self.refused(answer));
        }
        Ok(())
    }

    /// An answer that is not what the documents say, to a call that may have been carried out.
    pub(super) fn unexpected(self, answer: &RawResponse, what: &str) -> VendorError {
        self.error(answer, Class::Unexpected, Done::Unknown, None, what)
    }

    /// Why the vendor refused.
    pub(super) fn refused(self, answer: &RawResponse) -> VendorError {
        let is_own = is_own(&answer.body);
        let faults = |key| match is_own {
            true => faults(&answer.body, key),
            false => Vec::new(),
        };
        let errors = faults("errors");
        let code = errors.iter().find_map(|fault| fault.code);
        let mut told = faults("messages");
        told.splice(0..0, errors.iter().cloned());
        let limit = Limit::of(answer.status, &told).filter(|_| is_own);
        let text = match limit {
            Some(limit) => format!("{} ({})", limit.remedy(), texts(&told)),
            None if errors.is_empty() => excerpt(&answer.body),
            None => texts(&errors),
        };
        let has = |wanted: &[i64]| {
            errors
                .iter()
                .any(|fault| fault.code.is_some_and(|code| wanted.contains(&code)))
        };
        let (class, done) = match answer.status {
            200..300 if limit.is_some() => (Class::Quota, Done::Unknown),
            400..500 if limit.is_some() => (Class::Quota, Done::No),
            // A proxy answered in the API's place: whether it passed the call on is unknown.
            401 | 403 if code.is_none() => (Class::Unavailable, Done::Unknown),
            ..500 if is_foreign(answer) && !matches!(answer.status, 408 | 429) => {
                (Class::Unexpected, Done::Unknown)
            }
            401 | 403 | 408 | 409 | 429 | 500.. => by_status(answer.status),
            // No such account, or a path that means nothing: never to be taken for an object that is gone.
            400..500 if has(&[7000, 7003]) => (Class::Rejected, Done::No),
            // A malformed or unknown token; no permission; not from this address.
            400..500 if has(&[1000, 6003, 6103, 6111, 9109, 10000]) => {
                (Class::Unauthorized, Done::No)
            }
            400..500 if has(&[10046]) => (Class::Conflict, Done::No),
            400..500 if has(&[10003]) => (Class::NotFound, Done::No),
            // A 2xx whose envelope says that the call failed.
            200..300 if has(&[10003]) => (Class::NotFound, Done::Unknown),
            200..300 if has(&[10046]) => (Class::Conflict, Done::Unknown),
            200..300 if has(&[1000, 9109, 10000]) => (Class::Unauthorized, Done::Unknown),
            200..300 => (Class::Rejected, Done::Unknown),
            status => by_status(status),
        };
        self.error(answer, class, done, code, &text)
    }

    fn error(
        self,
        answer: &RawResponse,
        class: Class,
        done: Done,
        code: Option<i64>,
        text: &str,
    ) -> VendorError {
        let mut message: String = redact(text, &[self.token]).chars().take(TEXT).collect();
        if let Some(ray) = ray(answer) {
            message.push_str(" (cf-ray ");
            message.push_str(ray);
            message.push(')');
        }
        // A read that failed changed nothing.
        let done = if self.writes { done } else { Done::No };
        VendorError {
            status: Some(answer.status),
            code,
            retry_after: retry_after(&answer.headers),
            ..failure(Vendor::Cloudflare, self.call, class, done, message)
        }
    }
}

/// Cloudflare's name for this exchange, for its support.
pub(super) fn ray(answer: &RawResponse) -> Option<&str> {
    let ray = answer.headers.get("cf-ray")?.to_str().ok()?;
    ray.get(..ray.len().min(40))
}

/// Whether it is the API itself that refuses: its envelope. A page, plain text, the JSON of others and a body that was cut
/// refuse nothing (`cloudflare-stream.md §1.6`).
pub(super) fn is_own(body: &[u8]) -> bool {
    let success = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| body.get("success")?.as_bool());
    success == Some(false)
}

/// Whether another than the API wrote the answer. Without a body it counts as the API's, except a 413: no body of ours is
/// too large.
fn is_foreign(answer: &RawResponse) -> bool {
    !is_own(&answer.body) && (!answer.is_empty() || answer.status == 413)
}

/// The faults under a key of the envelope.
fn faults(body: &[u8], key: &str) -> Vec<EnvelopeMessage> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for error in body
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        faults.push(fault(error));
        let chain = error.get("error_chain").and_then(Value::as_array);
        faults.extend(chain.into_iter().flatten().map(fault));
    }
    faults
}

fn texts(faults: &[EnvelopeMessage]) -> String {
    let texts: Vec<&str> = faults.iter().map(|fault| fault.text.as_str()).collect();
    texts.join("; ")
}

/// Some errors have no code; one that is text is a number all the same.
fn fault(error: &Value) -> EnvelopeMessage {
    let text = error.get("message").and_then(Value::as_str);
    EnvelopeMessage {
        code: error.get("code").and_then(whole),
        text: text.unwrap_or("no message").to_owned(),
    }
}

/// What there is to say of a refusal without `errors`: edge pages, `error code: 1010`, nothing at all.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4 * EXCERPT)).unwrap_or(body));
    let text = text.trim();
    if text.is_empty() {
        "an empty answer".to_owned()
    } else if text.starts_with('<') {
        "an HTML page".to_owned()
    } else if text.starts_with(['{', '[']) {
        "JSON without errors".to_owned()
    } else {
        text.chars()
            .filter(|character| !character.is_control())
            .take(EXCERPT)
            .collect()
    }
}

/// Where a body stopped being JSON, without a word of it.
fn place(error: &serde_json::Error) -> String {
    format!(
        "not JSON (line {}, column {})",
        error.line(),
        error.column()
    )
}
