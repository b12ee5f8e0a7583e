//! The simulated customer host: lifecycle, views, manifests, thumbnails (`cloudflare-stream.md §3`).

use std::time::Duration;

use serde_json::json;

use super::calls::VendorCall;
use super::host::{Host, public_host};
use super::http::{CallContext, SimRequest, SimResponse};
use super::media::{LiveParts, STILL, Shown, is_media_file};
use super::world::{SimLiveInput, SimVideo, SimVideoState};

const PLAYLIST: &str = "application/x-mpegURL";
/// The viewer count of a playable live input.
const VIEWERS: u64 = 7;

pub(super) const HOST: Host = public_host(route, dispatch);

fn route(ask: &SimRequest) -> Option<VendorCall> {
    if ask.method != "GET" {
        return None;
    }
    match ask.parts().as_slice() {
        [_, "lifecycle"] => Some(VendorCall::Lifecycle),
        [_, "views"] => Some(VendorCall::Views),
        [
            _,
            "manifest",
            "video.m3u8" | "video.mpd" | "stream_t720.m3u8",
        ] => Some(VendorCall::Manifest),
        [_, "manifest", file] if is_media_file(file) => Some(VendorCall::Manifest),
        [_, "thumbnails", "thumbnail.jpg" | "thumbnail.gif"] => Some(VendorCall::Thumbnail),
        _ => None,
    }
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    let uid = cx.ask.part(0);
    let input = cx.state.live_inputs.get(uid).filter(|input| !input.deleted);
    let video = cx.state.videos.get(uid).filter(|video| !video.deleted);
    if call == VendorCall::Lifecycle {
        lifecycle(cx, input, video)
    } else if call == VendorCall::Views {
        views(cx, input)
    } else if call == VendorCall::Manifest {
        // Players on any origin read manifests.
        manifest(cx, input, video).with("Access-Control-Allow-Origin", "*")
    } else {
        thumbnail(cx, input, video)
    }
}

fn views(cx: &CallContext<'_>, input: Option<&SimLiveInput>) -> SimResponse {
    match input {
        Some(input) if input.recording.hide_live_viewer_count => {
            SimResponse::text(403, "text/plain", "Forbidden")
        }
        Some(input) => SimResponse::json(
            200,
            &json!({"liveViewers": if input.playable(cx.now) { VIEWERS } else { 0 }}),
        ),
        None => SimResponse::text(404, "text/plain", "Not Found"),
    }
}

fn lifecycle(
    cx: &CallContext<'_>,
    input: Option<&SimLiveInput>,
    video: Option<&SimVideo>,
) -> SimResponse {
    if let Some(input) = input {
        let live = input.playable(cx.now)
            || (cx.world.options.lifecycle_holds && input.has_manifest(cx.now));
        let video = input.video.as_ref().filter(|_| live);
        return SimResponse::json(
            200,
            &json!({"isInput": true, "videoUID": video, "live": live}),
        );
    }
    match video {
        Some(video) => {
            let live = cx.state.live_inputs.get(&video.input).is_some_and(|input| {
                input.video.as_ref() == Some(&video.uid) && input.playable(cx.now)
            });
            SimResponse::json(
                200,
                &json!({"isInput": false, "videoUID": video.uid, "live": live}),
            )
        }
        None => SimResponse::text(404, "text/plain", "Not Found"),
    }
}

/// Cloudflare refuses other user agents before it examines the path.
fn is_browser(ask: &SimRequest) -> bool {
    ask.header("user-agent")
        .is_some_and(|agent| agent.starts_with("Mozilla/"))
}

/// `cloudflare-stream.md §3.1`
fn parts(input: &SimLiveInput) -> LiveParts {
    match input.prefer_low_latency {
        Some(true) => LiveParts::OnRequest,
        Some(false) | None => LiveParts::Never,
    }
}

fn manifest(
    cx: &CallContext<'_>,
    input: Option<&SimLiveInput>,
    video: Option<&SimVideo>,
) -> SimResponse {
    if !is_browser(cx.ask) {
        return SimResponse::text(403, "text/plain", "error code: 1010");
    }
    let signed = input
        .map(|input| input.recording.require_signed_urls)
        .or(video.map(|video| video.require_signed_urls));
    let (length, is_over): (Duration, bool);
    let shown = match (signed, input, video) {
        (None, ..) => return SimResponse::text(404, "text/plain", "Not Found"),
        (Some(true), ..) => return SimResponse::text(401, "text/plain", "Unauthorized"),
        (Some(false), Some(input), _) => {
            if !input.has_manifest(cx.now) {
                return SimResponse::empty(204);
            }
            (length, is_over) = (input.shown(cx.now), false);
            Shown::live(input.broadcast.as_ref(), length, parts(input))
        }
        (Some(false), None, Some(video)) => match video.state {
            SimVideoState::Live => {
                let holder = cx
                    .state
                    .live_inputs
                    .get(&video.input)
                    .filter(|input| input.has_manifest(cx.now));
                let Some(holder) = holder else {
                    return SimResponse::empty(204);
                };
                (length, is_over) = (holder.shown(cx.now), false);
                Shown::live(video.broadcast.as_ref(), length, parts(holder))
            }
            SimVideoState::Processing { .. } | SimVideoState::Ready => {
                (length, is_over) = (video.length, true);
                Shown::recorded(video.broadcast.as_ref(), length, is_over)
            }
        },
        (Some(false), None, None) => return SimResponse::empty(204),
    };
    match cx.ask.part(2) {
        "video.mpd" => SimResponse::text(200, "application/dash+xml", dash(length, is_over)),
        "video.m3u8" => SimResponse::text(200, PLAYLIST, shown.master(cx.ask, "stream_t720.m3u8")),
        "stream_t720.m3u8" => shown.playlist(cx.ask, PLAYLIST),
        file => shown.file(file),
    }
}

fn dash(shown: Duration, over: bool) -> String {
    let kind = if over { "static" } else { "dynamic" };
    format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"{kind}\" mediaPresentationDuration=\"PT{}S\"/>\n",
        shown.as_secs()
    )
}

fn thumbnail(
    cx: &CallContext<'_>,
    input: Option<&SimLiveInput>,
    video: Option<&SimVideo>,
) -> SimResponse {
    match (input, video) {
        (Some(input), _) if !input.has_manifest(cx.now) => SimResponse::empty(204),
        (None, None) => SimResponse::text(404, "text/plain", "Not Found"),
        _ => SimResponse::file("image/jpeg", STILL),
    }
}
