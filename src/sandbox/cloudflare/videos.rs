//! Video calls (`cloudflare-stream.md §4`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{SimVideo, SimVideoState, video_name, video_object, video_state};
use super::{bad_request, error, not_found, ok};

pub(super) fn of_input(cx: &mut CallContext<'_>) -> SimResponse {
    let uid = cx.ask.part(6);
    if cx
        .state
        .live_inputs
        .get(uid)
        .is_none_or(|input| input.deleted)
    {
        return not_found();
    }
    let mut videos: Vec<&SimVideo> = cx
        .state
        .videos
        .values()
        .filter(|video| !video.deleted && video.input == uid)
        .collect();
    videos.sort_by_key(|video| {
        (
            video.state != SimVideoState::Live,
            std::cmp::Reverse(video.created),
        )
    });
    let mut items = cx.world.odd_entries();
    items.extend(videos.iter().map(|video| video_object(cx.world, video)));
    ok(&Value::Array(items))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    let video = cx
        .state
        .videos
        .get(cx.ask.part(5))
        .filter(|video| !video.deleted);
    video.map_or_else(not_found, |video| ok(&video_object(cx.world, video)))
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let uid = cx.ask.part(5).to_owned();
    let Some(video) = cx.state.videos.get_mut(&uid).filter(|video| !video.deleted) else {
        return not_found();
    };
    if video.state == SimVideoState::Live {
        return error(409, 10046, "Not Implemented: Feature not supported");
    }
    video.deleted = true;
    video.broadcast = None;
    SimResponse::empty(200)
}

/// Ignores undocumented filters.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    let ask = cx.ask;
    let limit = match ask.query("limit").map(str::parse::<usize>) {
        None => 1000,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(_) => return bad_request("limit must be between 1 and 1000"),
    };
    let time = |names: [&str; 2]| -> Result<Option<DateTime<Utc>>, SimResponse> {
        let Some(text) = names.iter().find_map(|name| ask.query(name)) else {
            return Ok(None);
        };
        DateTime::parse_from_rfc3339(text)
            .map(|time| Some(time.to_utc()))
            .map_err(|_| bad_request("a time is not RFC 3339"))
    };
    let (after, before) = match (time(["after", "start"]), time(["before", "end"])) {
        (Ok(after), Ok(before)) => (after, before),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    if ask
        .query("type")
        .is_some_and(|kind| kind != "live" && kind != "vod")
    {
        return bad_request("type is neither live nor vod");
    }
    let mut videos: Vec<&SimVideo> = cx
        .state
        .videos
        .values()
        .filter(|video| !video.deleted)
        .filter(|video| {
            ask.query("live_input_id")
                .is_none_or(|uid| video.input == uid)
        })
        .filter(|video| {
            ask.query("status")
                .is_none_or(|status| video_state(video) == status)
        })
        // Every simulated video comes from a live input.
        .filter(|_| ask.query("type") != Some("vod"))
        .filter(|video| {
            ask.query("search")
                .is_none_or(|text| video_name(video).contains(text))
        })
        .filter(|video| {
            after.is_none_or(|after| video.created >= after)
                && before.is_none_or(|before| video.created < before)
        })
        .collect();
    videos.sort_by_key(|video| video.created);
    if ask.query("asc") != Some("true") {
        videos.reverse();
    }
    let total = videos.len();
    let mut items = cx.world.odd_entries();
    let known = videos.into_iter().take(limit);
    items.extend(known.map(|video| video_object(cx.world, video)));
    if ask.query("include_counts") == Some("true") {
        let range = items.len();
        let body = json!({"result": items, "success": true, "errors": [], "messages": [], "range": range.to_string(), "total": total.to_string()});
        return SimResponse::json(200, &body);
    }
    ok(&Value::Array(items))
}

pub(super) fn storage_usage(cx: &mut CallContext<'_>) -> SimResponse {
    let stored: Vec<&SimVideo> = cx
        .state
        .videos
        .values()
        .filter(|video| !video.deleted)
        .collect();
    let minutes: f64 = stored
        .iter()
        .filter(|video| video.state == SimVideoState::Ready)
        .map(|video| cx.world.clock.to_wire(video.length).as_secs_f64() / 60.0)
        .sum();
    ok(
        &json!({"totalStorageMinutes": minutes, "totalStorageMinutesLimit": 100_000, "videoCount": stored.len(), "creator": null}),
    )
}
