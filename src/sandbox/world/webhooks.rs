//! The vendors' webhooks: delivered at least once, in any order (`cloudflare-stream.md §5`, `agora.md §6`).

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use super::ivs::REGION;
use super::mux::{asset_object, stream_object};
use super::videos::video_object;
use super::{World, WorldState};

pub(in crate::sandbox) struct AlertDestination {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) name: String,
    pub(in crate::sandbox) url: String,
    pub(in crate::sandbox) secret: Option<String>,
}

#[derive(Debug)]
pub(in crate::sandbox) struct AlertPolicy {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) enabled: bool,
    /// Live inputs; empty: all.
    pub(in crate::sandbox) input_ids: Vec<String>,
    pub(in crate::sandbox) destinations: Vec<String>,
    pub(in crate::sandbox) body: Value,
}

#[derive(Clone)]
pub(in crate::sandbox) struct OutgoingWebhook {
    url: String,
    signer: Signer,
    body: String,
    copies: u8,
    delay: Duration,
}

#[derive(Clone)]
enum Signer {
    /// `cf-webhook-auth`. `None`: the credentials' secret; empty: no header.
    Verbatim(Option<String>),
    Stream,
    Agora,
    /// With this webhook's secret.
    Mux(String),
    /// An EventBridge API destination, whose connection adds a header.
    EventBridge,
}

fn hmac_hex<M: Mac + KeyInit>(key: &str, message: &[u8]) -> String {
    let Ok(mac) = <M as KeyInit>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    hex::encode(mac.chain_update(message).finalize().into_bytes())
}

impl WorldState {
    fn send(&mut self, url: String, signer: Signer, body: &Value) {
        let delay = if self.webhooks.reordered {
            Duration::from_millis(u64::from(self.dice.below(5000)))
        } else {
            Duration::ZERO
        };
        let copies = if self.webhooks.duplicates { 2 } else { 1 };
        self.notices.push(OutgoingWebhook {
            url,
            signer,
            body: body.to_string(),
            copies,
            delay,
        });
    }

    /// `product`: 1 RTC, 3 Cloud Recording, 5 Media Push.
    pub(in crate::sandbox) fn agora_notice(&mut self, product: u8, event: u16, payload: Value) {
        let Some(url) = self.webhooks.agora.clone() else {
            return;
        };
        self.next_notice += 1;
        let body = json!({
            "noticeId": format!("{}:{}:{event}", 2_000_000_000_u64 + self.next_notice, self.dice.below(10_000)),
            "productId": product,
            "eventType": event,
            "notifyMs": Utc::now().timestamp_millis(),
            "payload": payload,
        });
        self.send(url, Signer::Agora, &body);
    }

    /// An event about a channel, or about the account (`ivs.md §5.1`).
    pub(super) fn ivs_event(
        &mut self,
        world: &World,
        detail_type: &str,
        channel: Option<&str>,
        detail: &Value,
    ) {
        let Some(url) = self.webhooks.ivs.clone() else {
            return;
        };
        let body = json!({
            "version": "0",
            "id": self.dice.uuid(),
            "detail-type": detail_type,
            "source": "aws.ivs",
            "account": world.keys.ivs.account,
            "time": world.clock.whole_seconds(Utc::now()),
            "region": REGION,
            "resources": Vec::from_iter(channel),
            "detail": detail,
        });
        self.send(url, Signer::EventBridge, &body);
    }
}

/// Sends the test message of a new alerting destination.
pub(in crate::sandbox) async fn test_message_is_delivered(
    world: &World,
    url: String,
    secret: Option<String>,
) -> bool {
    let text = "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly.";
    let notice = OutgoingWebhook {
        url,
        signer: Signer::Verbatim(Some(secret.unwrap_or_default())),
        body: json!({ "text": text }).to_string(),
        copies: 1,
        delay: Duration::ZERO,
    };
    is_delivered(world, &notice).await
}

/// `event`: `live_input.connected`, `.disconnected` or `.errored`.
pub(in crate::sandbox) fn notify_live_input(state: &mut WorldState, uid: &str, event: &str) {
    let body = json!({
        "name": "Live Webhook",
        "text": format!("Notification type: Stream Live Input\nInput ID: {uid}\nEvent type: {event}"),
        "data": {
            "notification_name": "Stream Live Input",
            "input_id": uid,
            "event_type": event,
            "updated_at": Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true),
        },
        "ts": Utc::now().timestamp(),
    });
    if let Some(url) = state.webhooks.cloudflare_live.clone() {
        state.send(url, Signer::Verbatim(None), &body);
    }
    let wanted: Vec<&str> = state
        .policies
        .iter()
        .filter(|policy| {
            policy.enabled
                && (policy.input_ids.is_empty() || policy.input_ids.iter().any(|id| id == uid))
        })
        .flat_map(|policy| policy.destinations.iter().map(String::as_str))
        .collect();
    let targets: Vec<(String, Option<String>)> = state
        .destinations
        .iter()
        .filter(|destination| wanted.contains(&destination.id.as_str()))
        .map(|destination| (destination.url.clone(), destination.secret.clone()))
        .collect();
    for (url, secret) in targets {
        // `None` would send the credentials' secret.
        state.send(
            url,
            Signer::Verbatim(Some(secret.unwrap_or_default())),
            &body,
        );
    }
}

pub(in crate::sandbox) fn notify_video(state: &mut WorldState, world: &World, uid: &str) {
    let Some(url) = state.webhooks.cloudflare_stream.clone() else {
        return;
    };
    if let Some(body) = state
        .videos
        .get(uid)
        .map(|video| video_object(world, video))
    {
        state.send(url, Signer::Stream, &body);
    }
}

/// `id`: a live stream's or an asset's, as the event's name says. Times in `data` are numbers (`mux.md §5.2`).
pub(in crate::sandbox) fn notify_mux(
    state: &mut WorldState,
    world: &World,
    now: Duration,
    kind: &str,
    id: &str,
) {
    let data = match kind.starts_with("video.asset.") {
        true => {
            let asset = state.mux.assets.get(id);
            asset.map(|asset| ("asset", asset_object(world, now, asset, true)))
        }
        false => {
            let stream = state.mux.streams.get(id);
            stream.map(|stream| ("live", stream_object(world, now, stream, true)))
        }
    };
    let Some((object, data)) = data else {
        return;
    };
    let configured = state.webhooks.mux.clone();
    let configured = configured.map(|url| (url, world.keys.mux_webhook_secret.clone()));
    let created = state.mux.webhooks.iter().filter(|webhook| webhook.enabled);
    let created = created.map(|webhook| (webhook.address.clone(), webhook.secret.clone()));
    let targets: Vec<_> = configured.into_iter().chain(created).collect();
    let event = state.dice.uuid();
    for (url, secret) in targets {
        let body = json!({
            "type": kind,
            "id": event,
            "created_at": Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "object": { "type": object, "id": id },
            "environment": { "name": "Sandbox", "id": world.keys.mux_environment },
            "data": data,
            "attempts": [],
        });
        state.send(url, Signer::Mux(secret), &body);
    }
}

/// Retries three times until the answer is 2xx.
pub(in crate::sandbox) async fn deliver(world: Arc<World>, notice: OutgoingWebhook) {
    world.clock.sleep(notice.delay).await;
    for _ in 0..notice.copies {
        for pause in [1, 3, 6, 0] {
            if is_delivered(&world, &notice).await {
                world.with(|state, _| state.delivered += 1);
                break;
            }
            world.clock.sleep(Duration::from_secs(pause)).await;
        }
    }
}

async fn is_delivered(world: &World, notice: &OutgoingWebhook) -> bool {
    let mut request = world
        .http
        .post(&notice.url)
        .header("Content-Type", "application/json")
        .body(notice.body.clone());
    request = match &notice.signer {
        Signer::Verbatim(None) => {
            request.header("cf-webhook-auth", &world.keys.live_webhook_secret)
        }
        Signer::Verbatim(Some(secret)) if secret.is_empty() => request,
        Signer::Verbatim(Some(secret)) => request.header("cf-webhook-auth", secret),
        Signer::Stream => {
            let time = Utc::now().timestamp();
            let signature = hmac_hex::<Hmac<Sha256>>(
                &world.keys.stream_webhook_secret,
                format!("{time}.{}", notice.body).as_bytes(),
            );
            request.header("Webhook-Signature", format!("time={time},sig1={signature}"))
        }
        Signer::Mux(secret) => {
            let time = Utc::now().timestamp();
            let signed = format!("{time}.{}", notice.body);
            let signature = hmac_hex::<Hmac<Sha256>>(secret, signed.as_bytes());
            request.header("Mux-Signature", format!("t={time},v1={signature}"))
        }
        Signer::EventBridge => {
            request.header("x-relaykeeper-secret", &world.keys.ivs.webhook_secret)
        }
        Signer::Agora => {
            let (secret, body) = (&world.keys.agora_webhook_secret, notice.body.as_bytes());
            request
                .header("Agora-Signature", hmac_hex::<Hmac<Sha1>>(secret, body))
                .header("Agora-Signature-V2", hmac_hex::<Hmac<Sha256>>(secret, body))
        }
    };
    request
        .send()
        .await
        .is_ok_and(|response| response.status().is_success())
}

#[cfg(test)]
mod tests {
    use super::{Hmac, Sha1, Sha256, hmac_hex};

    #[test]
    fn webhooks_are_signed_as_the_vendors_documents_say() {
        let body = r#"{"uid":"0123456789abcdef0123456789abcdef","readyToStream":true,"status":{"state":"ready"}}"#;
        assert_eq!(
            hmac_hex::<Hmac<Sha256>>(
                "0123456789abcdef0123456789abcdef",
                format!("1700000000.{body}").as_bytes()
            ),
            "a47633b017d53ea08fd1a3a065f3de2ec76b6382e2dacace79aa9e9a05fe2bd8"
        );
        let body = r#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
        assert_eq!(
            hmac_hex::<Hmac<Sha1>>("secret", body.as_bytes()),
            "033c62f40f687675f17f0f41f91a40c71c0f134c"
        );
        assert_eq!(
            hmac_hex::<Hmac<Sha256>>("secret", body.as_bytes()),
            "6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99"
        );
    }
}
