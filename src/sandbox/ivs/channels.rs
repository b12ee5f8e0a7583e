//! Channels and tags (`ivs.md §1.5, §2.1, §2.6`).

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{IvsChannelSettings, SimChannel, SimStreamKey, ivs_channel_object};
use super::stream_keys::key_object;
use super::{answer, body, error, invalid, list_answer, missing, not_found};

pub(super) fn create(cx: &mut CallContext<'_>) -> SimResponse {
    made(cx).unwrap_or_else(|refusal| refusal)
}

fn made(cx: &mut CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = [body::OF_CHANNELS.as_slice(), &["tags"]].concat();
    let body = body::read(cx, &known)?;
    let usual = IvsChannelSettings {
        name: String::new(),
        latency_mode: "LOW".to_owned(),
        kind: "STANDARD".to_owned(),
        authorized: false,
        recording_configuration: String::new(),
        insecure_ingest: false,
        preset: String::new(),
        container_format: "TS".to_owned(),
    };
    let account = &cx.world.keys.ivs;
    let settings = body::settings(&body, account, usual)?;
    let tags = body::tags(&body)?;
    if cx.state.ivs.alive().count() >= cx.state.quotas.ivs_channels {
        let message = "The channels quota is exceeded";
        return Err(error(402, "ServiceQuotaExceededException", message));
    }
    let id = cx.state.dice.word(12);
    let key = cx.state.ivs_key(account, serde_json::Map::new());
    let mut channel = SimChannel::new(
        account.arn("channel", &id),
        cx.state.ivs.number(),
        settings,
        cx.now + cx.world.options.ivs_listed_after,
    );
    channel.tags = tags;
    channel.playback_path = account.playback_path(&mut cx.state.dice);
    channel.srt_passphrase = cx.state.dice.word(40);
    channel.key = Some(key.clone());
    cx.state.secrets.push(channel.srt_passphrase.clone());
    let answered = json!({
        "channel": ivs_channel_object(account, &channel, false),
        "streamKey": key_object(&channel.arn, &key),
    });
    cx.state.ivs.channels.insert(channel.arn.clone(), channel);
    Ok(answer(&answered))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    body::found(cx, &["arn"], "arn").map_or_else(
        |refusal| refusal,
        |channel| {
            answer(&json!({"channel": ivs_channel_object(&cx.world.keys.ivs, channel, false)}))
        },
    )
}

pub(super) fn batch_get(cx: &mut CallContext<'_>) -> SimResponse {
    let body = match body::read(cx, &["arns"]) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let arns = match body::arns(&body, "channel") {
        Ok(arns) => arns,
        Err(refusal) => return refusal,
    };
    let (mut channels, mut errors) = (Vec::new(), Vec::new());
    for arn in arns {
        match cx.state.ivs.channel(arn) {
            Some(channel) => {
                channels.push(ivs_channel_object(&cx.world.keys.ivs, channel, false));
            }
            None => errors.push(missing(arn)),
        }
    }
    answer(&json!({"channels": channels, "errors": errors}))
}

/// Summaries, in no particular order.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    listed(cx).unwrap_or_else(|refusal| refusal)
}

fn listed(cx: &CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let filters = [
        "filterByName",
        "filterByRecordingConfigurationArn",
        "filterByPlaybackRestrictionPolicyArn",
        "filterByAdConfigurationArn",
        "filterByFailoverSlateConfigurationArn",
    ];
    let known = [filters.as_slice(), &["nextToken", "maxResults"]].concat();
    let body = body::read(cx, &known)?;
    let page = body::page(&body, 100, 100)?;
    let name = body::name(&body, "filterByName")?;
    let recording = body::text(&body, "filterByRecordingConfigurationArn")?;
    let given = filters.iter().filter(|filter| body.contains_key(**filter));
    if given.count() > 1 {
        let message = "Only one filter may be given";
        return Err(error(409, "ConflictException", message));
    }
    let no_other = !filters[2..].iter().any(|filter| body.contains_key(*filter));
    let channels = cx.state.ivs.alive().filter(|channel| {
        no_other
            && channel.listed_at <= cx.now
            && name.is_none_or(|name| channel.settings.name == name)
            && recording.is_none_or(|arn| channel.settings.recording_configuration == arn)
    });
    let summary = |channel: &SimChannel| {
        let summary = ivs_channel_object(&cx.world.keys.ivs, channel, true);
        (channel.arn.clone(), summary)
    };
    let (channels, next) = body::paged(page, channels.map(summary).collect());
    Ok(list_answer("channels", channels, next))
}

pub(super) fn update(cx: &mut CallContext<'_>) -> SimResponse {
    changed(cx).unwrap_or_else(|refusal| refusal)
}

fn changed(cx: &mut CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = [body::OF_CHANNELS.as_slice(), &["arn"]].concat();
    let channel = body::found(cx, &known, "arn")?;
    let body = body::read(cx, &known)?;
    let account = &cx.world.keys.ivs;
    let settings = body::settings(&body, account, channel.settings.clone())?;
    if channel.session().is_some() {
        return Err(live());
    }
    let arn = channel.arn.clone();
    let Some(channel) = cx.state.ivs.channel_mut(&arn) else {
        return Err(not_found(&arn));
    };
    channel.settings = settings;
    let object = ivs_channel_object(account, channel, false);
    Ok(answer(&json!({ "channel": object })))
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let channel = match body::found(cx, &["arn"], "arn") {
        Ok(channel) => channel,
        Err(refusal) => return refusal,
    };
    if channel.session().is_some() {
        return live();
    }
    let arn = channel.arn.clone();
    cx.state.delete_ivs(&arn);
    SimResponse::empty(204)
}

fn live() -> SimResponse {
    error(409, "ConflictException", "The channel is live")
}

pub(super) fn tags(cx: &mut CallContext<'_>) -> SimResponse {
    let arn = cx.ask.part(1).to_owned();
    match tagged(cx, &arn) {
        Some(tags) => answer(&json!({ "tags": tags })),
        None => not_found(&arn),
    }
}

pub(super) fn add_tags(cx: &mut CallContext<'_>) -> SimResponse {
    let new = body::read(cx, &["tags"]).and_then(|body| match body.contains_key("tags") {
        true => body::tags(&body),
        false => Err(invalid("tags is required")),
    });
    let new = match new {
        Ok(new) => new,
        Err(refusal) => return refusal,
    };
    let arn = cx.ask.part(1).to_owned();
    match tagged(cx, &arn) {
        Some(tags) => tags.extend(new),
        None => return not_found(&arn),
    }
    answer(&json!({}))
}

pub(super) fn remove_tags(cx: &mut CallContext<'_>) -> SimResponse {
    let arn = cx.ask.part(1).to_owned();
    let keys = cx.ask.query.iter().filter(|(name, _)| name == "tagKeys");
    let keys: Vec<String> = keys.map(|(_, key)| key.clone()).collect();
    match tagged(cx, &arn) {
        Some(tags) => tags.retain(|key, _| !keys.contains(key)),
        None => return not_found(&arn),
    }
    answer(&json!({}))
}

/// The tags of a channel or of a stream key.
fn tagged<'a>(
    cx: &'a mut CallContext<'_>,
    arn: &str,
) -> Option<&'a mut serde_json::Map<String, Value>> {
    let mut channels = cx.state.ivs.channels.values_mut();
    channels.find_map(|channel| {
        let SimChannel { tags, key, .. } = channel;
        if channel.arn == arn && !channel.deleted {
            return Some(tags);
        }
        let key: Option<&mut SimStreamKey> = key.as_mut().filter(|key| key.arn == arn);
        key.map(|key| &mut key.tags)
    })
}
