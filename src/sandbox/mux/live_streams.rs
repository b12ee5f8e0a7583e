//! Live streams (`mux.md §2`).

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{MuxPlaybackId, MuxStatus, SimMuxStream, stream_object};
use super::{data, invalid, not_found, number, only, settings};

pub(super) fn create(cx: &mut CallContext<'_>) -> SimResponse {
    let wanted = match settings::creation(cx) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    if cx.world.options.mux_free_plan {
        return invalid("Live streams are unavailable on the free plan");
    }
    let (id, key) = (cx.state.dice.word(45), cx.state.dice.uuid());
    cx.state.secrets.push(key.clone());
    let order = cx.state.mux.number();
    let mut stream = SimMuxStream::new(id.clone(), order, key, wanted.settings);
    stream.test = wanted.test;
    for policy in wanted.policies {
        let id = cx.state.dice.word(45);
        stream.playback_ids.push(MuxPlaybackId { id, policy });
    }
    let answer = data(201, &stream_object(cx.world, cx.now, &stream, false));
    cx.state.mux.streams.insert(id.clone(), stream);
    notify(cx, &id, "video.live_stream.created");
    answer
}

/// Newest first. Stream keys are in every answer.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    let ask = cx.ask;
    let page = only(ask, &["limit", "page", "status", "stream_key"]).and_then(|()| {
        Ok((
            number(ask, "limit", 25, 100)?,
            number(ask, "page", 1, usize::MAX)?,
        ))
    });
    let (limit, page) = match page {
        Ok(page) => page,
        Err(refusal) => return refusal,
    };
    let status = ask.query("status");
    if status.is_some_and(|status| !["idle", "active", "disabled"].contains(&status)) {
        return invalid("status must be one of idle, active, disabled");
    }
    let mut streams: Vec<&SimMuxStream> = cx
        .state
        .mux
        .streams
        .values()
        .filter(|stream| !stream.deleted)
        .filter(|stream| status.is_none_or(|status| stream.status.name() == status))
        .filter(|stream| {
            ask.query("stream_key")
                .is_none_or(|key| stream.stream_key == key)
        })
        .collect();
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.number));
    let skipped = limit.saturating_mul(page - 1);
    let streams = streams.into_iter().skip(skipped).take(limit);
    let object = |stream| stream_object(cx.world, cx.now, stream, false);
    data(200, &Value::Array(streams.map(object).collect()))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    answer(cx, 200)
}

pub(super) fn update(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(stream) = found(cx) else {
        return not_found();
    };
    let (id, known) = (stream.id.clone(), stream.settings.clone());
    let changed = match settings::change(cx, known) {
        Ok(changed) => changed,
        Err(refusal) => return refusal,
    };
    if let Some(stream) = cx.state.mux.streams.get_mut(&id) {
        stream.settings = changed;
    }
    notify(cx, &id, "video.live_stream.updated");
    answer(cx, 200)
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(id) = found(cx).map(|stream| stream.id.clone()) else {
        return not_found();
    };
    cx.state.delete_mux(cx.world, cx.now, &id);
    SimResponse::empty(204)
}

pub(super) fn complete(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(id) = found(cx).map(|stream| stream.id.clone()) else {
        return not_found();
    };
    match cx.state.complete_mux(cx.world, cx.now, &id) {
        true => data(200, &json!({})),
        false => invalid("the live stream is not active"),
    }
}

pub(super) fn disable(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(stream) = found(cx) else {
        return not_found();
    };
    if stream.status == MuxStatus::Disabled {
        return invalid("the live stream is already disabled");
    }
    let id = stream.id.clone();
    cx.state.disable_mux(cx.world, cx.now, &id);
    data(200, &json!({}))
}

pub(super) fn enable(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(stream) = found(cx) else {
        return not_found();
    };
    if stream.status != MuxStatus::Disabled {
        return invalid("the live stream is not disabled");
    }
    let id = stream.id.clone();
    if let Some(stream) = cx.state.mux.streams.get_mut(&id) {
        stream.status = MuxStatus::Idle;
    }
    notify(cx, &id, "video.live_stream.enabled");
    data(200, &json!({}))
}

/// An encoder that is connected stays.
pub(super) fn reset_key(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(id) = found(cx).map(|stream| stream.id.clone()) else {
        return not_found();
    };
    let key = cx.state.dice.uuid();
    cx.state.secrets.push(key.clone());
    if let Some(stream) = cx.state.mux.streams.get_mut(&id) {
        stream.stream_key = key;
    }
    answer(cx, 201)
}

pub(super) fn create_playback_id(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(id) = found(cx).map(|stream| stream.id.clone()) else {
        return not_found();
    };
    let body = match settings::body(cx) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let policy = match body.get("policy").and_then(Value::as_str) {
        Some(policy @ ("public" | "signed" | "drm")) if body.len() == 1 => policy.to_owned(),
        _ => return invalid("policy must be one of public, signed, drm"),
    };
    let playback = cx.state.dice.word(45);
    let object = json!({"id": playback, "policy": policy});
    if let Some(stream) = cx.state.mux.streams.get_mut(&id) {
        let id = playback;
        stream.playback_ids.push(MuxPlaybackId { id, policy });
    }
    data(201, &object)
}

pub(super) fn playback_id(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(stream) = found(cx) else {
        return not_found();
    };
    let (id, wanted) = (stream.id.clone(), cx.ask.part(5).to_owned());
    let Some(playback) = stream.playback_ids.iter().find(|one| one.id == wanted) else {
        return not_found();
    };
    if cx.ask.method == "GET" {
        return data(200, &json!({"id": playback.id, "policy": playback.policy}));
    }
    if let Some(stream) = cx.state.mux.streams.get_mut(&id) {
        stream.playback_ids.retain(|one| one.id != wanted);
    }
    SimResponse::empty(204)
}

pub(super) fn by_playback_id(cx: &mut CallContext<'_>) -> SimResponse {
    let wanted = cx.ask.part(3);
    let mux = &cx.state.mux;
    let of = |all: &[MuxPlaybackId]| {
        let found = all.iter().find(|one| one.id == wanted);
        found.map(|one| one.policy.clone())
    };
    let streams = mux.streams.values().filter(|stream| !stream.deleted);
    let streams = streams.filter_map(|one| Some((of(&one.playback_ids)?, "live_stream", &one.id)));
    let assets = mux.assets.values().filter(|asset| !asset.deleted);
    let assets = assets.filter_map(|one| Some((of(&one.playback_ids)?, "asset", &one.id)));
    match streams.chain(assets).next() {
        Some((policy, kind, id)) => data(
            200,
            &json!({"id": wanted, "policy": policy, "object": {"type": kind, "id": id}}),
        ),
        None => not_found(),
    }
}

fn found<'a>(cx: &'a CallContext<'_>) -> Option<&'a SimMuxStream> {
    let stream = cx.state.mux.streams.get(cx.ask.part(3));
    stream.filter(|stream| !stream.deleted)
}

fn answer(cx: &CallContext<'_>, status: u16) -> SimResponse {
    let object = found(cx).map(|stream| stream_object(cx.world, cx.now, stream, false));
    object.map_or_else(not_found, |object| data(status, &object))
}

fn notify(cx: &mut CallContext<'_>, id: &str, event: &str) {
    super::super::world::notify_mux(cx.state, cx.world, cx.now, event, id);
}
