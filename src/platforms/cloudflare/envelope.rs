//! Cloudflare's envelope `{success, errors, messages, result}`, and what refusals mean
//! (`cloudflare-stream.md §1.2, §1.3`).

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::limit::{EnvelopeMessage, Limit};
use crate::platforms::api::AnsweredCall;
use crate::vendors::http::{RawResponse, by_status};
use crate::vendors::number::whole;
use crate::vendors::{Class, Done, VendorError};

const EXCERPT: usize = 80;
/// Leaves room for `cf-ray`.
const TEXT: usize = 240;

/// The `result` of a 2xx answer, unless the envelope reports a failure.
pub(super) fn result<T: DeserializeOwned>(
    call: AnsweredCall<'_>,
    answer: &RawResponse,
) -> Result<T, VendorError> {
    let mut body = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(body) => body,
        Err(error) => return Err(unexpected(call, answer, &place(&error))),
    };
    if body.get("success").and_then(Value::as_bool) == Some(false) {
        return Err(refused(call, answer));
    }
    let Some(result) = body.get_mut("result").map(Value::take) else {
        return Err(unexpected(call, answer, "no result in the envelope"));
    };
    // Omits serde's error: it may quote a stream key.
    serde_json::from_value(result)
        .map_err(|_| unexpected(call, answer, "a result of another shape than documented"))
}

pub(super) fn accepted(call: AnsweredCall<'_>, answer: &RawResponse) -> Result<(), VendorError> {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let failed = body.get("success").and_then(Value::as_bool) == Some(false);
    if failed || answer.is_page() {
        return Err(refused(call, answer));
    }
    Ok(())
}

pub(super) fn unexpected(call: AnsweredCall<'_>, answer: &RawResponse, what: &str) -> VendorError {
    error(call, answer, Class::Unexpected, Done::Unknown, None, what)
}

pub(super) fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
    let is_own = is_own(&answer.body);
    let under = |key| match is_own {
        true => entries_of(&answer.body, key),
        false => Vec::new(),
    };
    let errors = under("errors");
    let code = errors.iter().find_map(|entry| entry.code);
    let mut entries = under("messages");
    entries.splice(0..0, errors.iter().cloned());
    let limit = Limit::of(answer.status, &entries).filter(|_| is_own);
    let text = match limit {
        Some(limit) => format!("{} ({})", limit.remedy(), texts(&entries)),
        None if errors.is_empty() => excerpt(&answer.body),
        None => texts(&errors),
    };
    let has = |wanted: &[i64]| {
        errors
            .iter()
            .any(|entry| entry.code.is_some_and(|code| wanted.contains(&code)))
    };
    let (class, done) = match answer.status {
        200..300 if limit.is_some() => (Class::Quota, Done::Unknown),
        400..500 if limit.is_some() => (Class::Quota, Done::No),
        // A proxy answered: whether it forwarded the call is unknown.
        401 | 403 if code.is_none() => (Class::Unavailable, Done::Unknown),
        ..500 if is_foreign(answer) && !matches!(answer.status, 408 | 429) => {
            (Class::Unexpected, Done::Unknown)
        }
        401 | 403 | 408 | 409 | 429 | 500.. => by_status(answer.status),
        // No such account, or an unknown path: must not count as an absent object.
        400..500 if has(&[7000, 7003]) => (Class::Rejected, Done::No),
        // A malformed or unknown token; no permission; an address that is not allowed.
        400..500 if has(&[1000, 6003, 6103, 6111, 9109, 10000]) => (Class::Unauthorized, Done::No),
        400..500 if has(&[10046]) => (Class::Conflict, Done::No),
        400..500 if has(&[10003]) => (Class::NotFound, Done::No),
        // A 2xx whose envelope reports a failure.
        200..300 if has(&[10003]) => (Class::NotFound, Done::Unknown),
        200..300 if has(&[10046]) => (Class::Conflict, Done::Unknown),
        200..300 if has(&[1000, 9109, 10000]) => (Class::Unauthorized, Done::Unknown),
        200..300 => (Class::Rejected, Done::Unknown),
        status => by_status(status),
    };
    error(call, answer, class, done, code, &text)
}

fn error(
    call: AnsweredCall<'_>,
    answer: &RawResponse,
    class: Class,
    done: Done,
    code: Option<i64>,
    text: &str,
) -> VendorError {
    let mut error = call.error(answer, class, done, text);
    error.code = code;
    if let Some(ray) = ray(answer) {
        let text: String = error.message.chars().take(TEXT).collect();
        error.message = format!("{text} (cf-ray {ray})");
    }
    error
}

/// Cloudflare's id of the exchange, for its support.
pub(super) fn ray(answer: &RawResponse) -> Option<&str> {
    let ray = answer.headers.get("cf-ray")?.to_str().ok()?;
    ray.get(..ray.len().min(40))
}

/// Whether the API itself wrote a refusal. Pages, plain text, other JSON and truncated bodies refuse nothing
/// (`cloudflare-stream.md §1.6`).
pub(super) fn is_own(body: &[u8]) -> bool {
    let success = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| body.get("success")?.as_bool());
    success == Some(false)
}

/// An empty body counts as the API's own, except with 413: our bodies are never too large.
fn is_foreign(answer: &RawResponse) -> bool {
    !is_own(&answer.body) && (!answer.is_empty() || answer.status == 413)
}

fn entries_of(body: &[u8], key: &str) -> Vec<EnvelopeMessage> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    for error in body
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        entries.push(entry(error));
        let chain = error.get("error_chain").and_then(Value::as_array);
        entries.extend(chain.into_iter().flatten().map(entry));
    }
    entries
}

fn texts(entries: &[EnvelopeMessage]) -> String {
    let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
    texts.join("; ")
}

/// Some entries have no code; a code may be text.
fn entry(error: &Value) -> EnvelopeMessage {
    let text = error.get("message").and_then(Value::as_str);
    EnvelopeMessage {
        code: error.get("code").and_then(whole),
        text: text.unwrap_or("no message").to_owned(),
    }
}

/// Describes a refusal without `errors`: an edge page, `error code: 1010`, an empty body.
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

/// Where a body stops being JSON, without quoting it.
fn place(error: &serde_json::Error) -> String {
    format!(
        "not JSON (line {}, column {})",
        error.line(),
        error.column()
    )
}
