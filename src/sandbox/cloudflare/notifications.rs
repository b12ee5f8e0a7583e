//! The account's Stream webhook and the alerting destinations and policies (`cloudflare-stream.md §5`).

use chrono::Utc;
use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::options::StreamSecret;
use super::super::world::{AlertDestination, AlertPolicy, World, stamp, test_message_is_delivered};
use super::{bad_request, error, not_found, ok};

pub(super) fn put_webhook(cx: &mut CallContext<'_>) -> SimResponse {
    let body = cx.ask.json().unwrap_or_default();
    let url = body.get("notificationUrl").and_then(Value::as_str);
    let Some(url) = url.filter(|url| url.starts_with("http://") || url.starts_with("https://"))
    else {
        return bad_request("notificationUrl is not a URL");
    };
    cx.state.webhooks.cloudflare_stream = Some(url.to_owned());
    let is_shown = cx.world.options.stream_secret == StreamSecret::Shown;
    webhook(cx, is_shown)
}

pub(super) fn get_webhook(cx: &mut CallContext<'_>) -> SimResponse {
    let is_shown = cx.world.options.stream_secret != StreamSecret::Hidden;
    webhook(cx, is_shown)
}

fn webhook(cx: &CallContext<'_>, is_shown: bool) -> SimResponse {
    let Some(url) = &cx.state.webhooks.cloudflare_stream else {
        return error(404, 10003, "Not Found: No active webhook found");
    };
    let mut webhook = json!({"notificationUrl": url, "modified": stamp(Utc::now())});
    if is_shown && let Some(fields) = webhook.as_object_mut() {
        fields.insert(
            "secret".to_owned(),
            json!(cx.world.keys.stream_webhook_secret),
        );
    }
    ok(&webhook)
}

pub(super) fn delete_webhook(cx: &mut CallContext<'_>) -> SimResponse {
    match cx.state.webhooks.cloudflare_stream.take() {
        Some(_) => ok(&json!("")),
        None => error(404, 10003, "Not Found: No active webhook found"),
    }
}

pub(super) fn create_destination(cx: &mut CallContext<'_>) -> SimResponse {
    let body = cx.ask.json().unwrap_or_default();
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let (Some(name), Some(url)) = (text("name"), text("url")) else {
        return bad_request("name and url are required");
    };
    let id = cx.state.dice.hex(32);
    let secret = text("secret");
    cx.state.destinations.push(AlertDestination {
        id: id.clone(),
        name,
        url,
        secret,
    });
    ok(&json!({"id": id}))
}

/// Cloudflare refuses a destination that does not answer the test message with 2xx (`cloudflare-stream.md §5.4`).
pub(in crate::sandbox) async fn test_destination(world: &World, made: SimResponse) -> SimResponse {
    let body: Value = serde_json::from_slice(&made.body).unwrap_or_default();
    let Some(id) = body.pointer("/result/id").and_then(Value::as_str) else {
        return made;
    };
    let one = world.with(|state, _| {
        let one = state.destinations.iter().find(|one| one.id == id);
        one.map(|one| (one.url.clone(), one.secret.clone()))
    });
    let Some((url, secret)) = one else {
        return made;
    };
    if test_message_is_delivered(world, url, secret).await {
        return made;
    }
    world.with(|state, _| state.destinations.retain(|one| one.id != id));
    bad_request("the webhook's address did not answer the test message with 2xx")
}

pub(super) fn delete_destination(cx: &mut CallContext<'_>) -> SimResponse {
    // …/client/v4/accounts/{account}/alerting/v3/destinations/webhooks/{id}
    let id = cx.ask.part(8).to_owned();
    let before = cx.state.destinations.len();
    cx.state.destinations.retain(|one| one.id != id);
    deleted(before > cx.state.destinations.len())
}

pub(super) fn delete_policy(cx: &mut CallContext<'_>) -> SimResponse {
    // …/client/v4/accounts/{account}/alerting/v3/policies/{id}
    let id = cx.ask.part(7).to_owned();
    let before = cx.state.policies.len();
    cx.state.policies.retain(|one| one.id != id);
    deleted(before > cx.state.policies.len())
}

fn deleted(found: bool) -> SimResponse {
    if found { ok(&Value::Null) } else { not_found() }
}

pub(super) fn list_destinations(cx: &mut CallContext<'_>) -> SimResponse {
    let items: Vec<Value> = cx
        .state
        .destinations
        .iter()
        .map(|one| json!({"id": one.id, "name": one.name, "url": one.url, "type": "generic"}))
        .collect();
    ok(&Value::Array(items))
}

pub(super) fn create_policy(cx: &mut CallContext<'_>) -> SimResponse {
    let body = cx.ask.json().unwrap_or_default();
    if body.get("alert_type").and_then(Value::as_str) != Some("stream_live_notifications") {
        return bad_request("alert_type is unknown");
    }
    if body
        .get("name")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return bad_request("name is required");
    }
    let Some(enabled) = body.get("enabled").and_then(Value::as_bool) else {
        return bad_request("enabled is required");
    };
    let texts = |pointer: &str, key: Option<&str>| -> Vec<String> {
        let list = body
            .pointer(pointer)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .filter_map(|one| key.map_or(Some(one), |key| one.get(key)))
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let destinations = texts("/mechanisms/webhooks", Some("id"));
    if destinations.is_empty()
        || !destinations
            .iter()
            .all(|id| cx.state.destinations.iter().any(|one| &one.id == id))
    {
        return bad_request("mechanisms.webhooks names no known destination");
    }
    let input_ids = texts("/filters/input_id", None);
    let id = cx.state.dice.hex(32);
    cx.state.policies.push(AlertPolicy {
        id: id.clone(),
        enabled,
        input_ids,
        destinations,
        body,
    });
    ok(&json!({"id": id}))
}

pub(super) fn list_policies(cx: &mut CallContext<'_>) -> SimResponse {
    let items: Vec<Value> = cx
        .state
        .policies
        .iter()
        .map(|one| {
            let mut body = one.body.clone();
            if let Some(body) = body.as_object_mut() {
                body.insert("id".to_owned(), json!(one.id));
            }
            body
        })
        .collect();
    ok(&Value::Array(items))
}
