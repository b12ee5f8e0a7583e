//! What IVS's refusals mean: a header names the kind of error, the body explains it (`ivs.md §1.4`).

use serde_json::Value;

use crate::platforms::api::AnsweredCall;
use crate::vendors::http::{RawResponse, by_status};
use crate::vendors::{Class, Done, VendorError};

const KIND: &str = "x-amzn-errortype";

/// No class of its own: only calls on streams answer it, and they answer no other conflict.
pub(super) const NOT_BROADCASTING: Class = Class::Conflict;

pub(super) fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
    let Some(kind) = kind(answer) else {
        let (class, done) = match answer.status {
            // A proxy answered: whether it forwarded the call is unknown.
            401 | 403 if answer.is_page() => (Class::Unavailable, Done::Unknown),
            402 => (Class::Quota, Done::No),
            // IVS names the kind of what is not found.
            404 | 409 => (Class::Unexpected, Done::Unknown),
            ..500 if answer.is_page() && !matches!(answer.status, 408 | 429) => {
                (Class::Unexpected, Done::Unknown)
            }
            status => by_status(status),
        };
        return call.error(answer, class, done, &answer.excerpt());
    };
    let (class, done) = match kind.as_str() {
        "ResourceNotFoundException" => (Class::NotFound, Done::No),
        "ChannelNotBroadcasting" => (NOT_BROADCASTING, Done::No),
        "ConflictException" => (Class::Conflict, Done::No),
        // A new account, until AWS has verified it: no call helps.
        "ServiceQuotaExceededException" | "PendingVerification" => (Class::Quota, Done::No),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
            (Class::RateLimited, Done::No)
        }
        "ValidationException" => (Class::Rejected, Done::No),
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => (Class::Unauthorized, Done::No),
        _ => by_status(answer.status),
    };
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = ["exceptionMessage", "message", "Message"]
        .iter()
        .find_map(|key| body.as_ref()?.get(*key)?.as_str())
        .unwrap_or_default();
    let text = match (kind.as_str(), text) {
        ("ExpiredTokenException", _) => format!("{kind}: the temporary credentials have expired"),
        (_, "") => kind,
        (_, text) => format!("{kind}: {text}"),
    };
    call.error(answer, class, done, &text)
}

/// The kind of error, if IVS itself wrote the answer.
pub(super) fn kind(answer: &RawResponse) -> Option<String> {
    let header = answer.headers.get(KIND);
    let header = header
        .and_then(|kind| kind.to_str().ok())
        .map(str::to_owned);
    let kind = header.or_else(|| {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        Some(body.get("__type")?.as_str()?.to_owned())
    })?;
    // `ValidationException:http://…`, `com.amazonaws.ivs#ValidationException`
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default().trim();
    (!kind.is_empty()).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{CONTENT_TYPE, HeaderMap};

    use super::*;

    fn refused(status: u16, kind: &str, body: &str) -> VendorError {
        let mut headers = HeaderMap::new();
        if body.starts_with('<') {
            headers.insert(CONTENT_TYPE, "text/html".parse().unwrap());
        }
        if !kind.is_empty() {
            headers.insert(KIND, kind.parse().unwrap());
        }
        let call = AnsweredCall {
            vendor: super::super::VENDOR,
            call: "channels.create",
            writes: true,
            secret: "secret",
        };
        let answer = RawResponse {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        };
        super::refused(call, &answer)
    }

    #[test]
    fn the_kind_decides_and_not_the_status() {
        for (status, kind, class) in [
            (400, "ValidationException", Class::Rejected),
            (402, "ServiceQuotaExceededException", Class::Quota),
            (403, "AccessDeniedException", Class::Unauthorized),
            (403, "PendingVerification", Class::Quota),
            (403, "UnrecognizedClientException", Class::Unauthorized),
            (400, "ExpiredTokenException", Class::Unauthorized),
            (404, "ResourceNotFoundException", Class::NotFound),
            (404, "ChannelNotBroadcasting", NOT_BROADCASTING),
            (409, "ConflictException", Class::Conflict),
            (429, "ThrottlingException", Class::RateLimited),
            (400, "ThrottlingException", Class::RateLimited),
            (500, "InternalServerException", Class::Unavailable),
            (503, "StreamUnavailable", Class::Unavailable),
            (403, "SomethingNew", Class::Unauthorized),
        ] {
            assert_eq!(refused(status, kind, "{}").class, class, "{status} {kind}");
            let long = format!("{kind}:http://internal.amazon.com/coral/");
            assert_eq!(refused(status, &long, "").class, class, "{long}");
            let body = serde_json::json!({"__type": format!("com.amazonaws.ivs#{kind}")});
            assert_eq!(refused(status, "", &body.to_string()).class, class);
        }
    }

    #[test]
    fn without_a_kind_nothing_is_gone_and_no_page_refuses() {
        for (status, body, class, done) in [
            (404, "{}", Class::Unexpected, Done::Unknown),
            (404, "<html>", Class::Unexpected, Done::Unknown),
            (409, "{}", Class::Unexpected, Done::Unknown),
            (403, "<html>", Class::Unavailable, Done::Unknown),
            (403, "{}", Class::Unauthorized, Done::No),
            (402, "{}", Class::Quota, Done::No),
            (429, "<html>", Class::RateLimited, Done::No),
            (503, "", Class::Unavailable, Done::Unknown),
        ] {
            let error = refused(status, "", body);
            assert_eq!((error.class, error.done), (class, done), "{status} {body}");
        }
    }

    #[test]
    fn a_refusals_text_has_the_kind_and_the_message_and_no_secret() {
        let error = refused(
            400,
            "ValidationException",
            r#"{"exceptionMessage":"of secret"}"#,
        );
        assert_eq!(error.message, "ValidationException: of [redacted]");
        let odd = refused(404, "", r#"{"streamKey":{"value":"sk_"}}"#);
        assert!(!odd.message.contains("sk_"), "{}", odd.message);
    }
}
