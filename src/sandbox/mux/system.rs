//! The token's environment, and its webhooks (`mux.md §1.1, §5.3`).

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::MuxWebhook;
use super::{data, invalid, not_found, settings};

pub(super) fn who_am_i(cx: &mut CallContext<'_>) -> SimResponse {
    let who = json!({
        "organization_id": "sandbox",
        "organization_name": "Sandbox",
        "environment_id": cx.world.keys.mux_environment,
        "environment_name": "Sandbox",
        "environment_type": "development",
        "access_token_name": "sandbox",
        "permissions": ["video:read", "video:write", "system:read", "system:write"],
    });
    data(200, &who)
}

/// The secret is shown once.
pub(super) fn webhooks(cx: &mut CallContext<'_>) -> SimResponse {
    if cx.ask.method == "GET" {
        let all: Vec<Value> = cx.state.mux.webhooks.iter().map(object).collect();
        return data(200, &Value::Array(all));
    }
    let body = match settings::body(cx) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let address = body.get("address").and_then(Value::as_str);
    let address = address.filter(|text| text.starts_with("http") && body.len() == 1);
    let Some(address) = address.map(str::to_owned) else {
        return invalid("address must be a URL");
    };
    let mut known = cx.state.mux.webhooks.iter();
    if known.any(|webhook| webhook.address == address) {
        return invalid("a webhook with this address exists");
    }
    let dice = &mut cx.state.dice;
    let webhook = MuxWebhook {
        id: dice.uuid(),
        address,
        secret: dice.word(32),
        enabled: true,
        created: Utc::now(),
    };
    cx.state.secrets.push(webhook.secret.clone());
    let mut shown = object(&webhook);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("signing_secret".to_owned(), json!(webhook.secret));
    }
    cx.state.mux.webhooks.push(webhook);
    data(201, &shown)
}

pub(super) fn webhook(cx: &mut CallContext<'_>) -> SimResponse {
    let body = match settings::body(cx) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let id = cx.ask.part(3);
    let all = &mut cx.state.mux.webhooks;
    let Some(place) = all.iter().position(|webhook| webhook.id == id) else {
        return not_found();
    };
    if cx.ask.method == "DELETE" {
        all.remove(place);
        return SimResponse::empty(204);
    }
    let Some(webhook) = all.get_mut(place) else {
        return not_found();
    };
    if let Some(enabled) = body.get("enabled").and_then(Value::as_bool) {
        webhook.enabled = enabled;
    }
    if let Some(address) = body.get("address").and_then(Value::as_str) {
        webhook.address = address.to_owned();
    }
    data(200, &object(webhook))
}

fn object(webhook: &MuxWebhook) -> Value {
    json!({
        "id": webhook.id,
        "address": webhook.address,
        "enabled": webhook.enabled,
        "created_at": webhook.created.to_rfc3339_opts(SecondsFormat::Secs, true),
    })
}
