//! Streams, their sessions, and the recording configuration (`ivs.md §2.5, §3.1, §4.1`).

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{
    IVS_REGION, SimAwsAccount, SimChannel, SimClock, SimSession, ivs_channel_object,
};
use super::{answer, body, error, invalid, list_answer, not_found};

const VIEWERS: u32 = 7;

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    let channel = match body::found(cx, &["channelArn"], "channelArn") {
        Ok(channel) => channel,
        Err(refusal) => return refusal,
    };
    let Some(stream) = channel.stream() else {
        return not_broadcasting(&channel.arn);
    };
    let account = &cx.world.keys.ivs;
    let mut object = stream_object(&cx.world.clock, channel, stream);
    if let Some(object) = object.as_object_mut() {
        let playback = format!(
            "https://{}.{IVS_REGION}.playback.live-video.net{}",
            account.customer, channel.playback_path
        );
        object.insert("playbackUrl".to_owned(), json!(playback));
    }
    answer(&json!({ "stream": object }))
}

fn stream_object(clock: &SimClock, channel: &SimChannel, stream: &SimSession) -> Value {
    let health = match stream.is_connected() {
        true => "HEALTHY",
        false => "STARVING",
    };
    let started = stream.live.map(|(_, at)| clock.whole_seconds(at));
    json!({
        "channelArn": channel.arn, "streamId": stream.id, "state": "LIVE", "health": health,
        "startTime": started, "viewerCount": VIEWERS,
    })
}

fn not_broadcasting(arn: &str) -> SimResponse {
    let message = format!("{arn} is not broadcasting");
    error(404, "ChannelNotBroadcasting", &message)
}

/// Those that are live.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    listed(cx).unwrap_or_else(|refusal| refusal)
}

fn listed(cx: &CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let body = body::read(cx, &["filterBy", "nextToken", "maxResults"])?;
    let page = body::page(&body, 100, 100)?;
    let health = match body.get("filterBy") {
        None | Some(Value::Null) => None,
        Some(Value::Object(filter)) => match filter.get("health").and_then(Value::as_str) {
            Some(health @ ("HEALTHY" | "STARVING" | "UNKNOWN")) => Some(health),
            None if filter.is_empty() => None,
            Some(_) | None => return Err(invalid("filterBy.health is invalid")),
        },
        Some(_) => return Err(invalid("filterBy must be an object")),
    };
    let streams = cx.state.ivs.alive();
    let lag = cx.world.options.ivs_streams_listed_after;
    let streams = streams.filter_map(|channel| {
        let stream = channel.stream()?;
        let (since, _) = stream.live?;
        if since + lag > cx.now {
            return None;
        }
        Some((
            channel.arn.clone(),
            stream_object(&cx.world.clock, channel, stream),
        ))
    });
    let streams = streams.filter(|(_, stream)| {
        health.is_none_or(|health| stream.get("health").and_then(Value::as_str) == Some(health))
    });
    let (streams, next) = body::paged(page, streams.collect());
    Ok(list_answer("streams", streams, next))
}

/// The encoder may connect again.
pub(super) fn stop(cx: &mut CallContext<'_>) -> SimResponse {
    let channel = match body::found(cx, &["channelArn"], "channelArn") {
        Ok(channel) => channel,
        Err(refusal) => return refusal,
    };
    let arn = channel.arn.clone();
    if channel.stream().is_none() {
        return not_broadcasting(&arn);
    }
    cx.state.encoder_leaves_ivs(cx.world, cx.now, &arn);
    answer(&json!({}))
}

/// Newest first.
pub(super) fn sessions(cx: &mut CallContext<'_>) -> SimResponse {
    listed_sessions(cx).unwrap_or_else(|refusal| refusal)
}

fn listed_sessions(cx: &CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = ["channelArn", "nextToken", "maxResults"];
    let channel = body::found(cx, &known, "channelArn")?;
    let page = body::page(&body::read(cx, &known)?, 100, 100)?;
    let newest = channel.sessions.iter().rev().enumerate();
    let entries = newest.map(|(place, session)| {
        let mut entry = times(&cx.world.clock, session);
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("hasErrorEvent".to_owned(), json!(session.failed));
        }
        (format!("{place:06}"), entry)
    });
    let (sessions, next) = body::paged(page, entries.collect());
    Ok(list_answer("streamSessions", sessions, next))
}

fn times(clock: &SimClock, session: &SimSession) -> Value {
    json!({
        "streamId": session.id, "startTime": clock.whole_seconds(session.created),
        "endTime": session.ended.map(|at| clock.whole_seconds(at)),
    })
}

/// The named one, or the newest.
pub(super) fn session(cx: &mut CallContext<'_>) -> SimResponse {
    one_session(cx).unwrap_or_else(|refusal| refusal)
}

fn one_session(cx: &CallContext<'_>) -> Result<SimResponse, SimResponse> {
    let known = ["channelArn", "streamId"];
    let channel = body::found(cx, &known, "channelArn")?;
    let body = body::read(cx, &known)?;
    let id = body::text(&body, "streamId")?;
    let mut newest = channel.sessions.iter().rev();
    let session = newest.find(|session| id.is_none_or(|id| session.id == id));
    let session = session.ok_or_else(|| not_found(id.unwrap_or(&channel.arn)))?;
    let mut object = times(&cx.world.clock, session);
    let account = &cx.world.keys.ivs;
    if let Some(object) = object.as_object_mut() {
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("channel", ivs_channel_object(account, channel, false));
        let video = session.video;
        put(
            "ingestConfiguration",
            json!({
                "video": {
                    "codec": "avc1.4D401F", "videoWidth": video.width, "videoHeight": video.height,
                    "targetBitrate": video.kbps * 1000, "targetFramerate": 30,
                },
                "audio": { "codec": "mp4a.40.2", "channels": 2, "sampleRate": 48_000, "targetBitrate": 128_000 },
            }),
        );
        let events = session.events.iter().map(|(name, at)| {
            json!({"name": name, "type": "IVS Stream State Change", "eventTime": cx.world.clock.whole_seconds(*at)})
        });
        put("truncatedEvents", Value::Array(events.collect()));
        if !channel.settings.recording_configuration.is_empty() {
            put("recordingConfiguration", configuration(cx, account));
        }
    }
    Ok(answer(&json!({ "streamSession": object })))
}

pub(super) fn recording_configuration(cx: &mut CallContext<'_>) -> SimResponse {
    let body = match body::read(cx, &["arn"]) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let account = &cx.world.keys.ivs;
    match body::arn(&body, "arn", "recording-configuration") {
        Ok(arn) if arn == account.recording_configuration => {
            answer(&json!({"recordingConfiguration": configuration(cx, account)}))
        }
        Ok(arn) => not_found(arn),
        Err(refusal) => refusal,
    }
}

fn configuration(cx: &CallContext<'_>, account: &SimAwsAccount) -> Value {
    let options = &cx.world.options;
    json!({
        "arn": account.recording_configuration,
        "name": "sandbox",
        "destinationConfiguration": { "s3": { "bucketName": account.bucket } },
        "state": options.ivs_recording_state,
        "recordingReconnectWindowSeconds": options.ivs_recording_window_seconds,
        "thumbnailConfiguration": { "recordingMode": "INTERVAL", "targetIntervalSeconds": 60 },
        "renditionConfiguration": { "renditionSelection": "ALL", "renditions": [] },
        "tags": {},
    })
}
