//! What the readers of vendors' webhooks share. Signatures are compared in constant time, over the raw body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::relay::Notice;

/// A verified webhook.
#[derive(Debug, PartialEq, Eq)]
pub struct Notification {
    /// The same in each repetition. `None`: the whole body is.
    pub id: Option<String>,
    /// Empty if it is about nothing of ours.
    pub notices: Vec<Notice>,
}

/// Why a webhook is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// A test message, which may come before the secret is configured here. It is answered 200.
    Test,
    /// The webhook is switched off.
    NoSecret,
    /// The signature is missing, wrong or too old.
    Unverified,
    /// The body is no JSON.
    NoJson,
}

/// In bytes.
const TEST_MESSAGE: usize = 4096;

pub(crate) fn unverified(body: &[u8], has_secret: bool, is_test: fn(&Value) -> bool) -> Refused {
    let message = (body.len() <= TEST_MESSAGE)
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    match message.as_ref().is_some_and(is_test) {
        true => Refused::Test,
        false if has_secret => Refused::Unverified,
        false => Refused::NoSecret,
    }
}

/// The last of duplicate keys wins: the vendor would repeat what is refused.
pub(crate) fn json_of(body: &[u8]) -> Result<Value, Refused> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).map_err(|_| Refused::NoJson)
}

/// Empty if absent.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// May be written as a string.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    match value.pointer(pointer)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(crate) fn same(expected: &str, given: &str) -> Choice {
    let given = given.trim().to_ascii_lowercase();
    Choice::from(u8::from(!expected.is_empty())) & expected.as_bytes().ct_eq(given.as_bytes())
}

/// Whether a header contains the secret itself.
pub(crate) fn is_secret(given: &[u8], secret: &SecretString) -> bool {
    let digest = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
    let known = digest(secret.expose_secret().as_bytes());
    known.ct_eq(&digest(given)).into()
}

/// Cannot fail: HMAC takes keys of any length.
pub(crate) fn hmac_hex(secret: &SecretString, parts: &[&[u8]]) -> String {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_of_duplicate_keys_in_a_notification_counts() {
        let notice = json_of(b"\xef\xbb\xbf{\"a\":1,\"a\":2}").unwrap();
        assert_eq!(notice, json!({"a": 2}));
        assert!(json_of(b"{").is_err());
    }
}
