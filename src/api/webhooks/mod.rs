//! Vendors calling in. A notification is a hint: it makes a relay look, is never trusted alone and never needed. Unknown
//! events and unknown relays are answered 200, or the vendor would go on repeating them.

pub(super) mod agora;
pub(super) mod cloudflare;
mod memory;
mod signature;
mod stray;

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use stray::{EgressEvent, Stray};

use super::Api;
use super::input::without_tag;
use super::problem::{Code, Problem};
use super::routes::Routes;
use crate::actors::RelaySnapshot;
use crate::config::Settings;
use crate::relay::Hint;
use memory::{Notices, Order};

/// What the endpoints are called between processes, and in the memory of what was heard.
const AGORA: &str = "agora";
const CLOUDFLARE_LIVE: &str = "cloudflare/live";
const CLOUDFLARE_STREAM: &str = "cloudflare/stream";

/// The secrets, and what was heard already.
pub(super) struct Webhooks {
    cloudflare_live: Option<SecretString>,
    cloudflare_stream: Option<SecretString>,
    agora: Vec<SecretString>,
    notices: Notices,
    order: Order,
}

impl Webhooks {
    pub(super) fn new(settings: &Settings) -> Self {
        let set = |secret: &SecretString| !secret.expose_secret().is_empty();
        let one = |secret: &SecretString| Some(secret.clone()).filter(set);
        let agora = settings.agora.webhook_secrets.iter();
        Self {
            cloudflare_live: one(&settings.cloudflare.live_webhook_secret),
            cloudflare_stream: one(&settings.cloudflare.stream_webhook_secret),
            agora: agora.filter(|secret| set(secret)).cloned().collect(),
            notices: Notices::new(),
            order: Order::new(),
        }
    }
}

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .writes("/webhooks/cloudflare/live", cloudflare::live)
        .writes("/webhooks/cloudflare/stream", cloudflare::stream)
        .writes("/webhooks/agora", agora::notify);
}

/// A notification was taken, whether it means anything or not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// What a notification means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// A relay in work shall hear of it.
    Hint(Uuid, Hint),
    /// It speaks of something that should not be there.
    Stray(Stray),
}

/// Answers a verified notification; `id` is what it calls itself. What means nothing to this process's relays may mean
/// something to another's.
///
/// # Errors
/// 503 while nobody could act on it: the vendor repeats.
async fn take(
    api: &Api,
    endpoint: &str,
    id: &[u8],
    notice: &Value,
    meaning: impl FnOnce(&[Arc<RelaySnapshot>]) -> Vec<Meaning>,
) -> Result<HttpResponse, Problem> {
    api.database_answers().await?;
    if !api.acts() {
        return Err(Problem::new(
            Code::Starting,
            "This process does not act yet.",
        ));
    }
    let key = memory::key(endpoint, id);
    if !api.webhooks.notices.knows(&key) {
        let mut ours = false;
        for meaning in meaning(&api.service.directory().all()) {
            match meaning {
                Meaning::Hint(relay, hint) => {
                    ours = true;
                    api.service.hint(relay, hint);
                }
                Meaning::Stray(stray) => stray::report_stray(api, stray),
            }
        }
        if !ours {
            api.service.pass_on(endpoint, bare(notice)).await;
        }
        api.webhooks.notices.remember(key, Instant::now());
    }
    Ok(received())
}

impl Api {
    /// A notification that another process verified, and passed on: it may speak of a relay of ours. Stray activity were seen to there.
    pub fn overhear(&self, endpoint: &str, notice: &Value) {
        let relays = self.service.directory().all();
        let meanings = match endpoint {
            AGORA => agora::meaning(notice, &relays, &self.webhooks.order),
            CLOUDFLARE_LIVE => cloudflare::live_meaning(notice, &relays),
            CLOUDFLARE_STREAM => cloudflare::video_meaning(notice, &relays),
            _ => Vec::new(),
        };
        for meaning in meanings {
            if let Meaning::Hint(relay, hint) = meaning {
                self.service.hint(relay, hint);
            }
        }
    }
}

/// What is read of any notification.
const READ: [&str; 14] = [
    "/productId",
    "/eventType",
    "/payload/channelName",
    "/payload/uid",
    "/payload/clientSeq",
    "/payload/cname",
    "/payload/sid",
    "/payload/converter/id",
    "/payload/converter/name",
    "/data/input_id",
    "/data/event_type",
    "/data/updated_at",
    "/data/live_input_errored",
    "/liveInput",
];

/// A notification with nothing in it but what is read of it: some hold a stream key, which is written down nowhere.
fn bare(notice: &Value) -> Value {
    read_of(notice, "").unwrap_or_default()
}

fn read_of(value: &Value, pointer: &str) -> Option<Value> {
    if READ.contains(&pointer) {
        return Some(value.clone());
    }
    let fields = value.as_object()?.iter();
    let read = fields.filter_map(|(key, value)| {
        let read = read_of(value, &format!("{pointer}/{key}"))?;
        Some((key.clone(), read))
    });
    let read: serde_json::Map<_, _> = read.collect();
    (!read.is_empty()).then_some(Value::Object(read))
}

/// The largest message that is read as a vendor's test of the address, in bytes.
const TEST_MESSAGE: usize = 4096;

/// Answers a notification whose signature does not prove the sender. A vendor tests the address while it is set up, when
/// its secret may not be configured here yet: the test message is answered with 200, and nothing else happens.
///
/// # Errors
/// 401, or 404 while no secret is configured.
fn unproven(
    body: &[u8],
    has_secret: bool,
    is_test: fn(&Value) -> bool,
) -> Result<HttpResponse, Problem> {
    let message = (body.len() <= TEST_MESSAGE)
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    if message.as_ref().is_some_and(is_test) {
        return Ok(received());
    }
    Err(match has_secret {
        true => Problem::new(
            Code::Unauthorized,
            "The signature is missing, wrong or too old.",
        ),
        false => Problem::not_found("This webhook has no secret, and is switched off."),
    })
}

fn received() -> HttpResponse {
    HttpResponse::Ok().json(Received { received: true })
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    let header = request.headers().get(name);
    header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default()
}

/// The body of a verified notification. Of a key that is given twice the last value counts: the vendor would repeat what is refused.
fn json_of(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(without_tag(body)).map_err(|_| Problem::body("not JSON"))
}

/// A text in a notification; empty when there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A number in a notification, whether it is written as one or as text.
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
    fn of_a_key_that_a_vendor_gives_twice_the_last_value_counts() {
        let notice = json_of(b"\xef\xbb\xbf{\"a\":1,\"a\":2}").unwrap();
        assert_eq!(notice, json!({"a": 2}));
        assert!(json_of(b"{").is_err());
    }

    #[test]
    fn a_notification_that_is_passed_on_holds_no_stream_key() {
        let notice = json!({"noticeId": "n", "productId": 3, "eventType": 100, "payload": {"cname": "c", "sid": "s",
            "details": {"rtmpUrl": "rtmps://x/live/key"}}});
        let expected =
            json!({"productId": 3, "eventType": 100, "payload": {"cname": "c", "sid": "s"}});
        assert_eq!(bare(&notice), expected);
        assert_eq!(bare(&json!("odd")), Value::Null);
    }
}
