//! What Mux's refusals mean: `{"error": {"type", "messages"}}` (`mux.md §1.4`).

use std::time::Duration;

use serde_json::Value;

use crate::platforms::api::AnsweredCall;
use crate::vendors::http::{RawResponse, by_status};
use crate::vendors::{Class, Done, VendorError};

pub(super) fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
    let own = own_words(&answer.body);
    let words = own.as_deref().unwrap_or_default().to_ascii_lowercase();
    let (class, done) = match answer.status {
        // A proxy answered: whether it forwarded the call is unknown.
        401 | 403 if answer.is_page() => (Class::Unavailable, Done::Unknown),
        ..500 if answer.is_page() && !matches!(answer.status, 408 | 429) => {
            (Class::Unexpected, Done::Unknown)
        }
        402 => (Class::Quota, Done::No),
        400 | 403 | 422 if is_limit(&words) => (Class::Quota, Done::No),
        // Another call holds the object: it may be repeated.
        409 => (Class::Unavailable, Done::Unknown),
        status => by_status(status),
    };
    let text = own.unwrap_or_else(|| answer.excerpt());
    let mut error = call.error(answer, class, done, &text);
    error.retry_after = error.retry_after.or_else(|| millis(answer));
    error
}

/// Whether Mux itself wrote the refusal.
pub(super) fn is_own(answer: &RawResponse) -> bool {
    own_words(&answer.body).is_some()
}

/// The type and the messages of Mux's own refusal.
fn own_words(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?.as_object()?;
    let kind = error.get("type").and_then(Value::as_str);
    let messages = error.get("messages").and_then(Value::as_array);
    let messages = messages.into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<&str> = kind.into_iter().chain(messages).collect();
    Some(words.join(": "))
}

/// Faults of the plan or a quota come as 400 `invalid_parameters` with prose (`mux.md §1.4`).
fn is_limit(words: &str) -> bool {
    let mut all = words.split(|character: char| !character.is_alphanumeric());
    all.any(|word| matches!(word, "plan" | "quota" | "billing" | "upgrade"))
        || [
            "limited to",
            "limit reached",
            "maximum number of",
            "too many live",
        ]
        .iter()
        .any(|phrase| words.contains(phrase))
}

fn millis(answer: &RawResponse) -> Option<Duration> {
    let text = answer.headers.get("retry-after-ms")?.to_str().ok()?;
    let wait = Duration::from_millis(text.trim().parse().ok()?);
    Some(wait.min(crate::vendors::http::MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{CONTENT_TYPE, HeaderMap};

    use super::*;

    fn refused(status: u16, body: &str) -> VendorError {
        let mut headers = HeaderMap::new();
        if body.starts_with('<') {
            headers.insert(CONTENT_TYPE, "text/html".parse().unwrap());
        }
        let context = AnsweredCall {
            vendor: super::super::VENDOR,
            call: "live_streams.create",
            writes: true,
            secret: "secret",
        };
        let answer = RawResponse {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        };
        super::refused(context, &answer)
    }

    fn own(message: &str) -> String {
        serde_json::json!({"error": {"type": "invalid_parameters", "messages": [message]}})
            .to_string()
    }

    #[test]
    fn faults_of_the_plan_are_limits_although_they_come_as_invalid_parameters() {
        for message in [
            "Live streams are unavailable on the free plan",
            "Free plan is limited to 10 assets, delete some",
            "Maximum number of concurrent live streams reached",
        ] {
            let error = refused(400, &own(message));
            assert_eq!(
                (error.class, error.done),
                (Class::Quota, Done::No),
                "{message}"
            );
        }
        assert_eq!(refused(402, "").class, Class::Quota);
        for message in [
            "reconnect_window must be between 0 and 1800",
            "unknown field plans: must not exceed 255 characters",
        ] {
            assert_eq!(
                refused(400, &own(message)).class,
                Class::Rejected,
                "{message}"
            );
        }
    }

    #[test]
    fn a_refusal_says_whether_the_call_may_have_been_carried_out() {
        for (status, body, class, done) in [
            (401, own("Unauthorized"), Class::Unauthorized, Done::No),
            (403, String::new(), Class::Unauthorized, Done::No),
            (403, "<html>".into(), Class::Unavailable, Done::Unknown),
            (404, own("not found"), Class::NotFound, Done::No),
            (404, "<html>".into(), Class::Unexpected, Done::Unknown),
            (409, own("locked"), Class::Unavailable, Done::Unknown),
            (429, own("slow down"), Class::RateLimited, Done::No),
            (503, String::new(), Class::Unavailable, Done::Unknown),
        ] {
            let error = refused(status, &body);
            assert_eq!((error.class, error.done), (class, done), "{status} {body}");
        }
    }

    #[test]
    fn a_refusals_text_names_no_secret_and_no_key() {
        let error = refused(400, &own("secret of rtmps://host/app/key"));
        assert!(!error.message.contains("secret") && !error.message.contains("/key"));
        let odd = refused(400, r#"{"data":{"stream_key":"key"}}"#);
        assert_eq!(odd.message, "JSON of another shape than documented");
    }
}
