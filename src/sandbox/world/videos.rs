//! A video as calls and the webhook represent it (`cloudflare-stream.md §4`).

use serde_json::{Value, json};

use super::World;
use super::clock::{duration_seconds_of, stamp};
use super::live_inputs::{SimVideo, SimVideoState};

const BYTES_PER_SECOND: u64 = 375_000;

pub(in crate::sandbox) fn video_state(video: &SimVideo) -> &'static str {
    match video.state {
        SimVideoState::Live => "live-inprogress",
        SimVideoState::Processing { .. } => "inprogress",
        SimVideoState::Ready => "ready",
    }
}

pub(in crate::sandbox) fn video_name(video: &SimVideo) -> String {
    let input = video
        .input_meta
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("Live input");
    format!("{input} {}", video.created.format("%d %b %y %H:%M UTC"))
}

/// In it -1 means: not known yet.
pub(in crate::sandbox) fn video_object(world: &World, video: &SimVideo) -> Value {
    let base = format!("{}/{}", world.named_customer_url(), video.uid);
    let ready = video.state == SimVideoState::Ready;
    let length = world.clock.to_wire(video.length);
    let mut status =
        json!({"state": video_state(video), "errorReasonCode": "", "errorReasonText": ""});
    if let Some(status) = status.as_object_mut() {
        match video.state {
            SimVideoState::Live => {}
            SimVideoState::Processing { .. } => {
                status.insert("pctComplete".to_owned(), json!("57.000000"));
            }
            SimVideoState::Ready => {
                status.insert("pctComplete".to_owned(), json!("100.000000"));
            }
        }
    }
    let mut body = json!({
        "uid": video.uid, "liveInput": video.input, "status": status,
        "readyToStream": ready, "readyToStreamAt": ready.then(|| stamp(video.modified)),
        "duration": -1, "size": 0, "input": {"width": -1, "height": -1},
        "created": stamp(video.created), "modified": stamp(video.modified), "uploaded": stamp(video.created), "uploadExpiry": null,
        "meta": {"name": video_name(video)}, "creator": null,
        "requireSignedURLs": video.require_signed_urls, "allowedOrigins": [], "maxSizeBytes": null, "maxDurationSeconds": null, "watermark": null,
        "thumbnail": format!("{base}/thumbnails/thumbnail.jpg"), "thumbnailTimestampPct": 0, "preview": format!("{base}/watch"),
        "playback": {"hls": format!("{base}/manifest/video.m3u8"), "dash": format!("{base}/manifest/video.mpd")},
    });
    if ready && let Some(body) = body.as_object_mut() {
        if !video.length_hidden {
            body.insert("duration".to_owned(), json!(duration_seconds_of(length)));
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
