//! Vendors' webhooks. A notification makes a relay poll, is never trusted alone, and never needed. Unknown events and
//! relays are answered 200, or the vendor would repeat them.

pub(super) mod agora;
pub(super) mod cloudflare;
mod dedup;
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

pub use stray::{EgressEvent, StrayNotice};

use super::Api;
use super::input::without_bom;
use super::problem::{Code, Problem};
use super::routes::Routes;
use crate::actors::RelaySnapshot;
use crate::config::Settings;
use crate::relay::Hint;
use dedup::{SeenNotices, SequenceOrder};

/// The endpoints' names in peer messages and in [`dedup`].
const AGORA: &str = "agora";
const CLOUDFLARE_LIVE: &str = "cloudflare/live";
const CLOUDFLARE_STREAM: &str = "cloudflare/stream";

pub(super) struct WebhookReceiver {
    cloudflare_live: Option<SecretString>,
    cloudflare_stream: Option<SecretString>,
    agora: Vec<SecretString>,
    notices: SeenNotices,
    order: SequenceOrder,
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
            notices: SeenNotices::new(),
            order: SequenceOrder::new(),
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

#[derive(Debug, PartialEq, Eq)]
enum NoticeEffect {
    Hint(Uuid, Hint),
    Stray(StrayNotice),
}

/// Passes the notification on to the other nodes if it concerns no relay of this one. Answers 503 while it cannot: the
/// vendor repeats it.
async fn accept(
    api: &Api,
    endpoint: &str,
    id: &[u8],
    notice: &Value,
    effects: impl FnOnce(&[Arc<RelaySnapshot>]) -> Vec<NoticeEffect>,
) -> Result<HttpResponse, Problem> {
    api.database_answers().await?;
    if !api.drives_relays() {
        return Err(Problem::new(
            Code::Starting,
            "This process does not drive relays yet.",
        ));
    }
    let key = dedup::key(endpoint, id);
    if !api.webhooks.notices.knows(&key) {
        let mut ours = false;
        for effect in effects(&api.service.directory().all()) {
            match effect {
                NoticeEffect::Hint(relay, hint) => {
                    ours = true;
                    api.service.hint(relay, hint);
                }
                NoticeEffect::Stray(stray) => stray::report_stray(api, stray),
            }
        }
        if !ours {
            api.service.pass_on(endpoint, stripped(notice)).await;
        }
        api.webhooks.notices.remember(key, Instant::now());
    }
    Ok(received())
}

impl Api {
    /// Handles a notification that another node verified and passed on. That node has already handled stray activity.
    pub fn receive_forwarded(&self, endpoint: &str, notice: &Value) {
        let relays = self.service.directory().all();
        let effects = match endpoint {
            AGORA => agora::effects(notice, &relays, &self.webhooks.order),
            CLOUDFLARE_LIVE => cloudflare::live_effects(notice, &relays),
            CLOUDFLARE_STREAM => cloudflare::video_effects(notice, &relays),
            _ => Vec::new(),
        };
        for effect in effects {
            if let NoticeEffect::Hint(relay, hint) = effect {
                self.service.hint(relay, hint);
            }
        }
    }
}

const READ_FIELDS: [&str; 14] = [
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

/// Some notifications contain a stream key, which must not be stored.
fn stripped(notice: &Value) -> Value {
    read_of(notice, "").unwrap_or_default()
}

fn read_of(value: &Value, pointer: &str) -> Option<Value> {
    if READ_FIELDS.contains(&pointer) {
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

/// In bytes.
const TEST_MESSAGE: usize = 4096;

/// Answers 200 to a vendor's test message, which may come before the secret is configured here.
fn unverified(
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
        false => Problem::not_found("This webhook is disabled: it has no secret."),
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

/// The last of duplicate keys wins: the vendor would repeat what is refused.
fn json_of(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(without_bom(body)).map_err(|_| Problem::body("not JSON"))
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

    #[test]
    fn a_notification_that_is_passed_on_holds_no_stream_key() {
        let notice = json!({"noticeId": "n", "productId": 3, "eventType": 100, "payload": {"cname": "c", "sid": "s",
            "details": {"rtmpUrl": "rtmps://x/live/key"}}});
        let expected =
            json!({"productId": 3, "eventType": 100, "payload": {"cname": "c", "sid": "s"}});
        assert_eq!(stripped(&notice), expected);
        assert_eq!(stripped(&json!("odd")), Value::Null);
    }
}
