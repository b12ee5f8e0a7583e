//! Verifies notifications in constant time, over the raw body.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

const WINDOW: TimeDelta = TimeDelta::minutes(5);

/// `cf-webhook-auth` contains the secret itself (`cloudflare-stream.md §5.6`).
pub(super) fn is_secret(given: &[u8], secret: &SecretString) -> bool {
    let digest = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
    let known = digest(secret.expose_secret().as_bytes());
    known.ct_eq(&digest(given)).into()
}

/// `Webhook-Signature: time=…,sig1=…` (`cloudflare-stream.md §5.2`).
pub(super) fn is_signed_by_cloudflare(
    header: &str,
    body: &[u8],
    secret: &SecretString,
    now: DateTime<Utc>,
) -> bool {
    let part = |name: &str| {
        let parts = header
            .split(',')
            .filter_map(|part| part.trim().split_once('='));
        parts
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    };
    let (Some(time), Some(signature)) = (part("time"), part("sig1")) else {
        return false;
    };
    let signed_at = time
        .parse()
        .ok()
        .and_then(|time| DateTime::from_timestamp(time, 0));
    let fresh = signed_at.is_some_and(|at| (now - at).abs() <= WINDOW);
    let expected = hmac_hex(secret, &[time.as_bytes(), b".", body]);
    fresh && bool::from(same(&expected, signature))
}

/// `Agora-Signature-V2`, made with one of the products' secrets (`agora.md §6.3`).
pub(super) fn is_signed_by_agora(header: &str, body: &[u8], secrets: &[SecretString]) -> bool {
    let one = |secret| same(&hmac_hex(secret, &[body]), header);
    secrets
        .iter()
        .map(one)
        .fold(Choice::from(0), |any, one| any | one)
        .into()
}

fn same(expected: &str, given: &str) -> Choice {
    let given = given.trim().to_ascii_lowercase();
    Choice::from(u8::from(!expected.is_empty())) & expected.as_bytes().ct_eq(given.as_bytes())
}

/// Cannot fail: HMAC takes keys of any length.
fn hmac_hex(secret: &SecretString, parts: &[&[u8]]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    for part in parts {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of `cloudflare-stream.md §5.2`.
    const STREAM_BODY: &[u8] = br#"{"uid":"0123456789abcdef0123456789abcdef","readyToStream":true,"status":{"state":"ready"}}"#;
    const STREAM_HEADER: &str =
        "time=1700000000,sig1=a47633b017d53ea08fd1a3a065f3de2ec76b6382e2dacace79aa9e9a05fe2bd8";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn cloudflares_signature_holds_for_five_minutes_over_the_raw_body() {
        let secret: SecretString = "0123456789abcdef0123456789abcdef".into();
        let check = |header: &str, body: &[u8], seconds| {
            is_signed_by_cloudflare(header, body, &secret, at(seconds))
        };
        assert!(check(STREAM_HEADER, STREAM_BODY, 0));
        assert!(check(STREAM_HEADER, STREAM_BODY, 300));
        assert!(!check(STREAM_HEADER, STREAM_BODY, 301));
        assert!(!check(STREAM_HEADER, STREAM_BODY, -301));
        assert!(!check(STREAM_HEADER, b"{}", 0));
        assert!(!check(
            &STREAM_HEADER.replace("1700000000", "1700000001"),
            STREAM_BODY,
            0
        ));
        assert!(!check("time=1700000000", STREAM_BODY, 0));
        assert!(!check("", STREAM_BODY, 0));
        let other: SecretString = "other".into();
        assert!(!is_signed_by_cloudflare(
            STREAM_HEADER,
            STREAM_BODY,
            &other,
            at(0)
        ));
    }

    #[test]
    fn agoras_signature_holds_with_any_of_the_secrets() {
        // The vector of `agora.md §6.3`.
        let body = br#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
        let sha256 = "6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99";
        let sha1 = "033c62f40f687675f17f0f41f91a40c71c0f134c";
        let secrets: [SecretString; 2] = ["another".into(), "secret".into()];
        assert!(is_signed_by_agora(sha256, body, &secrets));
        assert!(!is_signed_by_agora(sha256, body, &secrets[..1]));
        assert!(!is_signed_by_agora(sha1, body, &secrets));
        assert!(!is_signed_by_agora(sha256, b"{}", &secrets));
        assert!(!is_signed_by_agora("", body, &secrets));
        assert!(!is_signed_by_agora(sha256, body, &[]));
    }

    #[test]
    fn cloudflares_other_secret_is_compared_whole() {
        let secret: SecretString = "s3cret".into();
        assert!(is_secret(b"s3cret", &secret));
        assert!(!is_secret(b"s3cre", &secret) && !is_secret(b"", &secret));
    }
}
