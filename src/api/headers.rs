use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::actors::RequestKey;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// In seconds.
const LONGEST_WAIT: u64 = 25;

pub(super) fn request_key(
    request: &HttpRequest,
    path: &str,
    body: &str,
) -> Result<Option<RequestKey>, Problem> {
    let mut given = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = given.next() else {
        return Ok(None);
    };
    let wrong = || {
        Problem::parameter(
            "Idempotency-Key",
            "one key of 1 to 255 visible ASCII characters",
        )
    };
    let key = key.to_str().map_err(|_| wrong())?;
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if given.next().is_some() || !(1..=255).contains(&key.len()) || !visible {
        return Err(wrong());
    }
    let mut hash = Sha256::new();
    for part in [request.method().as_str(), path, body] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    Ok(Some(RequestKey {
        key: key.to_owned(),
        request_hash: hex::encode(hash.finalize()),
    }))
}

/// `Prefer: wait=N` (RFC 7240, which demands that unreadable values are ignored).
pub(super) fn wait(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get_all(PREFER)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .filter_map(|preference| preference.split(';').next())
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|value| value.parse().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT))
}

pub(super) fn wait_or(preferred: Option<u64>, usual: Duration) -> Duration {
    preferred.map_or(usual, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn prefer(value: &str) -> Option<u64> {
        wait(
            &TestRequest::post()
                .insert_header((PREFER, value))
                .to_http_request(),
        )
    }

    #[test]
    fn a_caller_may_wait_from_0_to_25_seconds() {
        assert_eq!(prefer("wait=0"), Some(0));
        assert_eq!(prefer("respond-async, wait=7; x=1"), Some(7));
        assert_eq!(prefer("Wait = \"25\""), Some(25));
        assert_eq!(prefer("wait=26"), Some(25));
        assert_eq!(prefer("wait=99999999999999999999999"), Some(25));
        for unreadable in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=soon",
            "return=minimal",
        ] {
            assert_eq!(prefer(unreadable), None, "{unreadable}");
        }
    }

    fn key(key: &str, path: &str, body: &str) -> Result<Option<RequestKey>, Problem> {
        let request = TestRequest::post().insert_header((IDEMPOTENCY_KEY, key));
        request_key(&request.to_http_request(), path, body)
    }

    #[test]
    fn a_key_belongs_to_one_method_path_and_body() {
        let hash = |path, body| key("k", path, body).unwrap().unwrap().request_hash;
        assert_eq!(hash("/a", "{}"), hash("/a", "{}"));
        assert_ne!(hash("/a", "{}"), hash("/b", "{}"));
        assert_ne!(hash("/a", "{}"), hash("/a{}", ""));
        assert_eq!(hash("/a", "{}").len(), 64);
    }

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        assert!(key(&"k".repeat(255), "/", "").is_ok());
        for bad in ["", "a b", &"k".repeat(256)] {
            assert!(key(bad, "/", "").is_err(), "{bad}");
        }
        let twice = TestRequest::post()
            .append_header((IDEMPOTENCY_KEY, "a"))
            .append_header((IDEMPOTENCY_KEY, "b"));
        assert!(request_key(&twice.to_http_request(), "/", "").is_err());
    }
}
