//! Stream keys: one of a channel (`ivs.md §2.4`).

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{SimChannel, SimStreamKey};
use super::{answer, body, error, list_answer, missing, not_found};

pub(super) fn key_object(channel: &str, key: &SimStreamKey) -> Value {
    json!({"arn": key.arn, "channelArn": channel, "value": key.value, "tags": key.tags})
}

pub(super) fn create(cx: &mut CallContext<'_>) -> SimResponse {
    made(cx).unwrap_or_else(|refusal| refusal)
}

fn made(cx: &mut CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = ["channelArn", "tags"];
    let channel = body::found(cx, &known, "channelArn")?;
    let tags = body::tags(&body::read(cx, &known)?)?;
    if channel.key.is_some() {
        let message = "A channel has at most one stream key";
        return Err(error(402, "ServiceQuotaExceededException", message));
    }
    let arn = channel.arn.clone();
    let key = cx.state.ivs_key(&cx.world.keys.ivs, tags);
    let object = key_object(&arn, &key);
    if let Some(channel) = cx.state.ivs.channel_mut(&arn) {
        channel.key = Some(key);
    }
    Ok(answer(&json!({ "streamKey": object })))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    match known_key(cx) {
        Ok((channel, key)) => answer(&json!({"streamKey": key_object(&channel.arn, key)})),
        Err(refusal) => refusal,
    }
}

pub(super) fn batch_get(cx: &mut CallContext<'_>) -> SimResponse {
    let body = match body::read(cx, &["arns"]) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let arns = match body::arns(&body, "stream-key") {
        Ok(arns) => arns,
        Err(refusal) => return refusal,
    };
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for arn in arns {
        match of_arn(cx, arn) {
            Some((channel, key)) => keys.push(key_object(&channel.arn, key)),
            None => errors.push(missing(arn)),
        }
    }
    answer(&json!({"streamKeys": keys, "errors": errors}))
}

/// Without their values.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    listed(cx).unwrap_or_else(|refusal| refusal)
}

fn listed(cx: &CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = ["channelArn", "nextToken", "maxResults"];
    let channel = body::found(cx, &known, "channelArn")?;
    let page = body::page(&body::read(cx, &known)?, 1, 50)?;
    let summary = |key: &SimStreamKey| {
        let summary = json!({"arn": key.arn, "channelArn": channel.arn, "tags": key.tags});
        (key.arn.clone(), summary)
    };
    let (keys, next) = body::paged(page, channel.key.iter().map(summary).collect());
    Ok(list_answer("streamKeys", keys, next))
}

/// A stream that uses the key goes on.
pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let arn = match known_key(cx) {
        Ok((channel, _)) => channel.arn.clone(),
        Err(refusal) => return refusal,
    };
    if let Some(channel) = cx.state.ivs.channel_mut(&arn) {
        channel.key = None;
    }
    SimResponse::empty(204)
}

fn known_key<'a>(
    cx: &'a CallContext<'_>,
) -> Result<(&'a SimChannel, &'a SimStreamKey), SimResponse> {
    let body = body::read(cx, &["arn"])?;
    let arn = body::arn(&body, "arn", "stream-key")?;
    of_arn(cx, arn).ok_or_else(|| not_found(arn))
}

fn of_arn<'a>(cx: &'a CallContext<'_>, arn: &str) -> Option<(&'a SimChannel, &'a SimStreamKey)> {
    cx.state.ivs.alive().find_map(|channel| {
        let key = channel.key.as_ref().filter(|key| key.arn == arn)?;
        Some((channel, key))
    })
}
