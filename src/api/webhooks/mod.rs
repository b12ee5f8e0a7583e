//! Vendors' webhooks. A notification makes a relay poll, is never trusted alone, and never needed. Unknown events and
//! relays are answered 200, or the vendor would repeat them.

pub(super) mod agora;
pub(super) mod cloudflare;
mod dedup;
mod signature;

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::input::without_bom;
use super::problem::{Code, Problem};
use super::routes::Routes;
use crate::config::Settings;
use crate::relay::Notice;
use dedup::SeenNotices;

pub(super) struct WebhookReceiver {
    cloudflare_live: Option<SecretString>,
    cloudflare_stream: Option<SecretString>,
    agora: Vec<SecretString>,
    seen: SeenNotices,
}

impl WebhookReceiver {
    pub(super) fn new(settings: &Settings) -> Self {
        let set = |secret: &SecretString| !secret.expose_secret().is_empty();
        let one = |secret: &SecretString| Some(secret.clone()).filter(set);
        let agora = settings.agora.webhook_secrets.iter();
        Self {
            cloudflare_live: one(&settings.cloudflare.live_webhook_secret),
            cloudflare_stream: one(&settings.cloudflare.stream_webhook_secret),
            agora: agora.filter(|secret| set(secret)).cloned().collect(),
            seen: SeenNotices::new(),
        }
    }
}

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .writes("/webhooks/cloudflare/live", cloudflare::live)
        .writes("/webhooks/cloudflare/stream", cloudflare::stream)
        .writes("/webhooks/agora", agora::notify);
}

/// The notification was received. It may have no effect.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// A verified webhook.
#[derive(Debug, PartialEq, Eq)]
struct Notification {
    /// The same in each repetition. `None`: the whole body is.
    id: Option<String>,
    /// Empty if it is about nothing of ours.
    notices: Vec<Notice>,
}

/// Why a webhook is not accepted.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// A test message, which may come before the secret is configured here. It is answered 200.
    Test,
    NoSecret,
    Unverified,
    NoJson,
}

/// Answers 503 while a notification cannot reach its relay: the vendor repeats it.
async fn accept(
    api: &Api,
    endpoint: &str,
    body: &[u8],
    notification: Result<Notification, Refused>,
) -> Result<HttpResponse, Problem> {
    let received = || HttpResponse::Ok().json(Received { received: true });
    let notification = match notification {
        Ok(notification) => notification,
        Err(Refused::Test) => return Ok(received()),
        Err(Refused::NoSecret) => {
            return Err(Problem::not_found(
                "This webhook is disabled: it has no secret.",
            ));
        }
        Err(Refused::Unverified) => {
            return Err(Problem::new(
                Code::Unauthorized,
                "The signature is missing, wrong or too old.",
            ));
        }
        Err(Refused::NoJson) => return Err(Problem::body("not JSON")),
    };
    api.database_answers().await?;
    if !api.drives_relays() {
        return Err(Problem::new(
            Code::Starting,
            "This process does not drive relays yet.",
        ));
    }
    let id = notification.id.as_ref().map_or(body, |id| id.as_bytes());
    let key = dedup::key(endpoint, id);
    if !api.webhooks.seen.knows(&key) {
        for notice in notification.notices {
            api.service.notice(notice).await?;
        }
        api.webhooks.seen.remember(key, Instant::now());
    }
    Ok(received())
}

/// In bytes.
const TEST_MESSAGE: usize = 4096;

fn unverified(body: &[u8], has_secret: bool, is_test: fn(&Value) -> bool) -> Refused {
    let message = (body.len() <= TEST_MESSAGE)
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    match message.as_ref().is_some_and(is_test) {
        true => Refused::Test,
        false if has_secret => Refused::Unverified,
        false => Refused::NoSecret,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let header = headers.get(name);
    header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default()
}

/// The last of duplicate keys wins: the vendor would repeat what is refused.
fn json_of(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(without_bom(body)).map_err(|_| Refused::NoJson)
}

/// Empty if absent.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// May be written as a string.
fn number(value: &Value, pointer: &str) -> Option<i64> {
    match value.pointer(pointer)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
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
