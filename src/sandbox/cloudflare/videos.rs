//! Videos (`cloudflare-stream.md §4`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::clock::stamp;
use super::super::ingest::{Video, VideoState};
use super::super::wire::{Answer, Cx};
use super::super::world::World;
use super::{bad_request, error, not_found, ok};

/// Bytes of a simulated second of video.
const BYTES_PER_SECOND: u64 = 375_000;

pub(super) fn of_input(cx: &mut Cx<'_>) -> Answer {
    let uid = cx.ask.part(6);
    if cx
        .state
        .live_inputs
        .get(uid)
        .is_none_or(|input| input.deleted)
    {
        return not_found();
    }
    let mut videos: Vec<&Video> = cx
        .state
        .videos
        .values()
        .filter(|video| !video.deleted && video.input == uid)
        .collect();
    videos.sort_by_key(|video| {
        (
            video.state != VideoState::Live,
            std::cmp::Reverse(video.created),
        )
    });
    let mut items = cx.world.odd_entries();
    items.extend(videos.iter().map(|video| video_object(cx.world, video)));
    ok(&Value::Array(items))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Answer {
    let video = cx
        .state
        .videos
        .get(cx.ask.part(5))
        .filter(|video| !video.deleted);
    video.map_or_else(not_found, |video| ok(&video_object(cx.world, video)))
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Answer {
    let uid = cx.ask.part(5).to_owned();
    let Some(video) = cx.state.videos.get_mut(&uid).filter(|video| !video.deleted) else {
        return not_found();
    };
    if video.state == VideoState::Live {
        return error(409, 10046, "Not Implemented: Feature not supported");
    }
    video.deleted = true;
    Answer::empty(200)
}

/// Documented filters only; an unknown one is ignored.
pub(super) fn list(cx: &mut Cx<'_>) -> Answer {
    let ask = cx.ask;
    let limit = match ask.query("limit").map(str::parse::<usize>) {
        None => 1000,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(_) => return bad_request("limit must be between 1 and 1000"),
    };
    let time = |names: [&str; 2]| -> Result<Option<DateTime<Utc>>, Answer> {
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
    let mut videos: Vec<&Video> = cx
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
                .is_none_or(|status| state(video) == status)
        })
        // Every simulated video comes from a live input.
        .filter(|_| ask.query("type") != Some("vod"))
        .filter(|video| {
            ask.query("search")
                .is_none_or(|text| name(video).contains(text))
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
        return Answer::json(200, &body);
    }
    ok(&Value::Array(items))
}

pub(super) fn storage_usage(cx: &mut Cx<'_>) -> Answer {
    let stored: Vec<&Video> = cx
        .state
        .videos
        .values()
        .filter(|video| !video.deleted)
        .collect();
    let minutes: f64 = stored
        .iter()
        .filter(|video| video.state == VideoState::Ready)
        .map(|video| cx.world.clock.to_wire(video.length).as_secs_f64() / 60.0)
        .sum();
    ok(
        &json!({"totalStorageMinutes": minutes, "totalStorageMinutesLimit": 100_000, "videoCount": stored.len(), "creator": null}),
    )
}

fn state(video: &Video) -> &'static str {
    match video.state {
        VideoState::Live => "live-inprogress",
        VideoState::Processing { .. } => "inprogress",
        VideoState::Ready => "ready",
    }
}

fn name(video: &Video) -> String {
    let input = video
        .input_meta
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("Live input");
    format!("{input} {}", video.created.format("%d %b %y %H:%M UTC"))
}

/// A video, as every call and the webhook tell it: -1 stands for what is not known yet.
pub(in crate::sandbox) fn video_object(world: &World, video: &Video) -> Value {
    let base = format!("{}/{}", world.named_customer_url(), video.uid);
    let ready = video.state == VideoState::Ready;
    let length = world.clock.to_wire(video.length);
    let mut status = json!({"state": state(video), "errorReasonCode": "", "errorReasonText": ""});
    if let Some(status) = status.as_object_mut() {
        match video.state {
            VideoState::Live => {}
            VideoState::Processing { .. } => {
                status.insert("pctComplete".to_owned(), json!("57.000000"));
            }
            VideoState::Ready => {
                status.insert("pctComplete".to_owned(), json!("100.000000"));
            }
        }
    }
    let mut body = json!({
        "uid": video.uid, "liveInput": video.input, "status": status,
        "readyToStream": ready, "readyToStreamAt": ready.then(|| stamp(video.modified)),
        "duration": -1, "size": 0, "input": {"width": -1, "height": -1},
        "created": stamp(video.created), "modified": stamp(video.modified), "uploaded": stamp(video.created), "uploadExpiry": null,
        "meta": {"name": name(video)}, "creator": null,
        "requireSignedURLs": video.require_signed_urls, "allowedOrigins": [], "maxSizeBytes": null, "maxDurationSeconds": null, "watermark": null,
        "thumbnail": format!("{base}/thumbnails/thumbnail.jpg"), "thumbnailTimestampPct": 0, "preview": format!("{base}/watch"),
        "playback": {"hls": format!("{base}/manifest/video.m3u8"), "dash": format!("{base}/manifest/video.mpd")},
    });
    if ready && let Some(body) = body.as_object_mut() {
        if !video.length_hidden {
            body.insert("duration".to_owned(), json!(told_seconds(length)));
        }
        body.insert(
            "size".to_owned(),
            json!(
                length
                    .as_secs()
                    .saturating_add(1)
                    .saturating_mul(BYTES_PER_SECOND)
            ),
        );
        body.insert("input".to_owned(), json!({"width": 1280, "height": 720}));
        if let Some(at) = video.scheduled_deletion {
            body.insert("scheduledDeletion".to_owned(), json!(stamp(at)));
        }
    }
    body
}

/// The seconds of a video as the API tells them: milliseconds are enough, and the same at every poll.
pub(in crate::sandbox) fn told_seconds(length: Duration) -> f64 {
    f64::from(u32::try_from(length.as_millis()).unwrap_or(u32::MAX)) / 1000.0
}
