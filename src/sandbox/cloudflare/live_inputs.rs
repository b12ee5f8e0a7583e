//! Live inputs (`cloudflare-stream.md §2`).

use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{
    SimLiveInput, SimPlatform, SimRecordingSettings, World, WorldState, stamp,
};
use super::{bad_request, error, not_found, ok};

const KEY_LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// The settings in a body; `None`: missing.
#[derive(Default)]
struct LiveInputSettings {
    meta: Option<Value>,
    enabled: Option<bool>,
    prefer_low_latency: Option<bool>,
    delete_recording_after_days: Option<Option<u64>>,
    recording: Option<SimRecordingSettings>,
}

pub(in crate::sandbox) fn blank(state: &mut WorldState) -> SimLiveInput {
    let uid = state.dice.hex(32);
    let now = Utc::now();
    SimLiveInput {
        uid: uid.clone(),
        created: now,
        modified: now,
        meta: json!({}),
        enabled: true,
        prefer_low_latency: None,
        delete_recording_after_days: None,
        recording: SimRecordingSettings::default(),
        stream_key: format!("{}k{uid}", state.dice.hex(32)),
        playback_key: format!("{}k{uid}", state.dice.hex(32)),
        publish_secret: format!("{}k{uid}", state.dice.hex(32)),
        keys_rotated_at: None,
        deleted: false,
        connections: Vec::new(),
        playable_at: Duration::ZERO,
        broadcast: None,
        video: None,
        hold_until: None,
        shown: Duration::ZERO,
        status: None,
        history: Vec::new(),
    }
}

pub(super) fn create(cx: &mut CallContext<'_>) -> SimResponse {
    let key = cx.ask.header("idempotency-key").map(str::to_owned);
    if key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.len() > 255)
    {
        return bad_request("Idempotency-Key must have 1 to 255 bytes");
    }
    let wanted = match wanted(cx) {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    if let Some(key) = &key
        && let Some((uid, at)) = cx.state.idempotency.get(key)
        && cx.now < *at + KEY_LIFETIME
    {
        return match cx.state.live_inputs.get(uid) {
            Some(input) if !input.deleted => ok(&full(cx.world, input)),
            _ => error(
                409,
                10009,
                "Conflict: the live input of this Idempotency-Key was deleted",
            ),
        };
    }
    let mut input = blank(cx.state);
    let uid = input.uid.clone();
    apply(&mut input, wanted);
    note_secrets(cx.state, &input);
    let mut body = full(cx.world, &input);
    if let Some(body) = body.as_object_mut() {
        body.insert("status".to_owned(), Value::Null);
    }
    if let Some(key) = key {
        cx.state.idempotency.insert(key, (uid.clone(), cx.now));
    }
    cx.state.live_inputs.insert(uid, input);
    ok(&body)
}

pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    let mut inputs: Vec<&SimLiveInput> = cx
        .state
        .live_inputs
        .values()
        .filter(|input| !input.deleted)
        .collect();
    inputs.sort_by_key(|input| std::cmp::Reverse(input.created));
    let mut items = cx.world.odd_entries();
    items.extend(inputs.iter().map(|input| {
        json!({
            "uid": input.uid, "created": stamp(input.created), "modified": stamp(input.modified), "meta": input.meta,
            "enabled": input.enabled, "deleteRecordingAfterDays": input.delete_recording_after_days,
        })
    }));
    if cx.ask.query("include_counts") == Some("true") {
        let total = items.len();
        return ok(&json!({"liveInputs": items, "range": total, "total": total}));
    }
    ok(&Value::Array(items))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    found(cx).map_or_else(not_found, |input| ok(&full(cx.world, input)))
}

pub(super) fn update(cx: &mut CallContext<'_>) -> SimResponse {
    if found(cx).is_none() {
        return not_found();
    }
    let wanted = match wanted(cx) {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    let uid = cx.ask.part(6).to_owned();
    let Some(input) = cx.state.live_inputs.get_mut(&uid) else {
        return not_found();
    };
    apply(input, wanted);
    input.modified = Utc::now();
    if !input.enabled {
        cx.state.disconnect_all(cx.world, cx.now, &uid, "disabled");
        cx.state.end_broadcast(cx.world, cx.now, &uid);
    }
    get(cx)
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    if found(cx).is_none() {
        return not_found();
    }
    let uid = cx.ask.part(6).to_owned();
    cx.state.disconnect_all(cx.world, cx.now, &uid, "deleted");
    cx.state.end_broadcast(cx.world, cx.now, &uid);
    if let Some(input) = cx.state.live_inputs.get_mut(&uid) {
        input.deleted = true;
    }
    SimResponse::empty(200)
}

pub(super) fn rotate_keys(cx: &mut CallContext<'_>) -> SimResponse {
    if found(cx).is_none() {
        return not_found();
    }
    let uid = cx.ask.part(6).to_owned();
    cx.state
        .disconnect_all(cx.world, cx.now, &uid, "keys_rotated");
    let (stream, playback, publish) = (
        cx.state.dice.hex(32),
        cx.state.dice.hex(32),
        cx.state.dice.hex(32),
    );
    let Some(input) = cx.state.live_inputs.get_mut(&uid) else {
        return not_found();
    };
    input.stream_key = format!("{stream}k{uid}");
    input.playback_key = format!("{playback}k{uid}");
    input.publish_secret = format!("{publish}k{uid}");
    input.keys_rotated_at = Some(Utc::now());
    input.modified = Utc::now();
    let keys = [
        input.stream_key.clone(),
        input.playback_key.clone(),
        input.publish_secret.clone(),
    ];
    cx.state.secrets.extend(keys);
    get(cx)
}

fn found<'a>(cx: &'a CallContext<'_>) -> Option<&'a SimLiveInput> {
    cx.state
        .live_inputs
        .get(cx.ask.part(6))
        .filter(|input| !input.deleted)
}

fn note_secrets(state: &mut WorldState, input: &SimLiveInput) {
    state.secrets.extend([
        input.stream_key.clone(),
        input.playback_key.clone(),
        input.publish_secret.clone(),
    ]);
}

fn apply(input: &mut SimLiveInput, wanted: LiveInputSettings) {
    if let Some(meta) = wanted.meta {
        input.meta = meta;
    }
    if let Some(enabled) = wanted.enabled {
        input.enabled = enabled;
    }
    if wanted.prefer_low_latency.is_some() {
        input.prefer_low_latency = wanted.prefer_low_latency;
    }
    if let Some(days) = wanted.delete_recording_after_days {
        input.delete_recording_after_days = days;
    }
    if let Some(recording) = wanted.recording {
        input.recording = recording;
    }
}

/// Ignores unknown fields, such as a nested `deleteRecordingAfterDays`.
fn wanted(cx: &CallContext<'_>) -> Result<LiveInputSettings, SimResponse> {
    if cx.ask.body.is_empty() {
        return Ok(LiveInputSettings::default());
    }
    if !cx.ask.says_json() {
        return Err(bad_request("the Content-Type must be application/json"));
    }
    let body = cx
        .ask
        .json()
        .ok_or_else(|| bad_request("the body is not JSON"))?;
    let body = body
        .as_object()
        .ok_or_else(|| bad_request("the body is not an object"))?;
    let days = match body.get("deleteRecordingAfterDays") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(value) => match value.as_u64() {
            Some(days @ 30..=1096) => Some(Some(days)),
            _ if value.is_number() => {
                return Err(error(
                    400,
                    10060,
                    "Bad Request: deleteRecordingAfterDays must be between 30 and 1096 days",
                ));
            }
            _ => return Err(bad_request("deleteRecordingAfterDays is not a number")),
        },
    };
    let meta = body.get("meta").filter(|meta| !meta.is_null()).cloned();
    if meta.as_ref().is_some_and(|meta| !meta.is_object()) {
        return Err(bad_request("meta is not an object"));
    }
    if body
        .get("defaultCreator")
        .is_some_and(|creator| !creator.is_string())
    {
        return Err(bad_request("defaultCreator is not a string"));
    }
    let recording = match body.get("recording") {
        None | Some(Value::Null) => None,
        Some(value) => Some(recording(
            value
                .as_object()
                .ok_or_else(|| bad_request("recording is not an object"))?,
        )?),
    };
    Ok(LiveInputSettings {
        meta,
        enabled: boolean(body, "enabled")?,
        prefer_low_latency: boolean(body, "preferLowLatency")?,
        delete_recording_after_days: days,
        recording,
    })
}

/// Parses `recording`, which replaces the old one: whether Cloudflare merges them is unknown, and this is stricter.
fn recording(body: &Map<String, Value>) -> Result<SimRecordingSettings, SimResponse> {
    let mode = match body.get("mode") {
        None => "off".to_owned(),
        Some(mode) => match mode.as_str() {
            Some(mode @ ("off" | "automatic")) => mode.to_owned(),
            _ => return Err(bad_request("recording.mode is neither off nor automatic")),
        },
    };
    let timeout_seconds = match body.get("timeoutSeconds") {
        None | Some(Value::Null) => None,
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| bad_request("recording.timeoutSeconds is not a whole number"))?
            .filter(|seconds| *seconds > 0),
    };
    let allowed_origins =
        match body.get("allowedOrigins") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let origins = value.as_array().and_then(|list| {
                    list.iter()
                        .map(|one| one.as_str().map(str::to_owned))
                        .collect::<Option<Vec<_>>>()
                });
                Some(origins.ok_or_else(|| {
                    bad_request("recording.allowedOrigins is not a list of strings")
                })?)
            }
        };
    Ok(SimRecordingSettings {
        mode,
        timeout_seconds,
        require_signed_urls: boolean(body, "requireSignedURLs")?.unwrap_or(false),
        allowed_origins,
        hide_live_viewer_count: boolean(body, "hideLiveViewerCount")?.unwrap_or(false),
    })
}

fn boolean(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, SimResponse> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_bool()
            .map(Some)
            .ok_or_else(|| bad_request(&format!("{name} is neither true nor false"))),
    }
}

/// The live input with credentials and status, as all calls but `list` return it.
fn full(world: &World, input: &SimLiveInput) -> Value {
    let customer = world.named_customer_url();
    let uid = &input.uid;
    let server = world.ingests.of(SimPlatform::Cloudflare);
    let rtmps = |key: &str| json!({"url": server, "streamKey": key});
    let srt = |id: String, key: &str| json!({"url": "srt://live.cloudflare.com:778", "streamId": id, "passphrase": key});
    let mut body = json!({
        "uid": uid,
        "rtmps": rtmps(&input.stream_key),
        "rtmpsPlayback": rtmps(&input.playback_key),
        "srt": srt(uid.clone(), &input.stream_key),
        "srtPlayback": srt(format!("play{uid}"), &input.playback_key),
        "webRTC": {"url": format!("{customer}/{}/webRTC/publish", input.publish_secret)},
        "webRTCPlayback": {"url": format!("{customer}/{uid}/webRTC/play")},
        "created": stamp(input.created),
        "modified": stamp(input.modified),
        "meta": input.meta,
        "recording": {
            "mode": input.recording.mode,
            "timeoutSeconds": input.recording.timeout_seconds,
            "requireSignedURLs": input.recording.require_signed_urls,
            "allowedOrigins": input.recording.allowed_origins,
            "hideLiveViewerCount": input.recording.hide_live_viewer_count,
        },
        "enabled": input.enabled,
        "deleteRecordingAfterDays": input.delete_recording_after_days,
    });
    if let Some(body) = body.as_object_mut() {
        if world.options.playback_in_answers {
            let manifest = format!("{customer}/{uid}/manifest/video");
            body.insert(
                "playback".to_owned(),
                json!({"hls": format!("{manifest}.m3u8"), "dash": format!("{manifest}.mpd")}),
            );
        }
        if let Some(prefer) = input.prefer_low_latency {
            body.insert("preferLowLatency".to_owned(), json!(prefer));
        }
        if let Some(at) = input.keys_rotated_at {
            body.insert("keysRotatedAt".to_owned(), json!(stamp(at)));
        }
        let status = status(world, input);
        if !status.is_null() || world.options.status_null {
            body.insert("status".to_owned(), status);
        }
    }
    body
}

fn status(world: &World, input: &SimLiveInput) -> Value {
    let Some(current) = &input.status else {
        return Value::Null;
    };
    if world.options.status_as_text {
        return json!(if current.state == "connected" {
            "connected"
        } else {
            "client_disconnect"
        });
    }
    let seen = if current.state == "connected" {
        Utc::now()
    } else {
        current.since
    };
    let history: Vec<Value> = input
        .history
        .iter()
        .map(|past| json!({"state": past.state, "reason": past.reason, "ingestProtocol": "rtmp", "statusEnteredAt": stamp(past.since), "statusLastSeen": stamp(past.since)}))
        .collect();
    json!({
        "current": {"state": current.state, "reason": current.reason, "ingestProtocol": "rtmp", "statusEnteredAt": stamp(current.since), "statusLastSeen": stamp(seen)},
        "history": history,
    })
}
