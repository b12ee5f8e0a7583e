//! The public playback host, and the recordings that an operator serves from the bucket (`ivs.md §3.3, §4.5`).

use std::time::Duration;

use super::super::calls::VendorCall;
use super::super::host::{Host, public_host};
use super::super::http::{CallContext, SimRequest, SimResponse};
use super::super::media::{LiveParts, Shown};

pub(in crate::sandbox) const HOST: Host = public_host(route, dispatch);

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

fn route(ask: &SimRequest) -> Option<VendorCall> {
    if ask.method != "GET" {
        return None;
    }
    match ask.parts().as_slice() {
        ["api", "video", "v1", _] | ["api", "video", "v1", _, _] => Some(VendorCall::IvsManifest),
        ["vod", ..] => Some(VendorCall::IvsRecording),
        _ => None,
    }
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    let answer = match call == VendorCall::IvsRecording {
        true => recorded(cx),
        false => live(cx),
    };
    // Players on any origin read manifests.
    answer.with("Access-Control-Allow-Origin", "*")
}

/// 404 while the channel does not broadcast.
fn live(cx: &CallContext<'_>) -> SimResponse {
    let name = cx.ask.part(3).trim_end_matches(".m3u8");
    let path = format!("/api/video/v1/{name}.m3u8");
    let mut channels = cx.state.ivs.alive();
    let Some(channel) = channels.find(|channel| channel.playback_path == path) else {
        return not_found();
    };
    let Some((since, _)) = channel.stream().and_then(|stream| stream.live) else {
        return not_found();
    };
    if channel.settings.authorized {
        return SimResponse::text(403, "text/plain", "Forbidden");
    }
    let length = cx.now.saturating_sub(since);
    // Low latency is the affair of IVS's own player (`ivs.md §3.2`).
    let shown = Shown::live(channel.broadcast.as_ref(), length, LiveParts::Never);
    match cx.ask.part(4) {
        "" => {
            let media = format!("{name}/720p30.m3u8");
            SimResponse::text(200, PLAYLIST, shown.master(cx.ask, &media))
        }
        "720p30.m3u8" => shown.playlist(cx.ask, PLAYLIST),
        file => shown.file(file),
    }
}

/// Objects of the bucket. The test video's segments are not in it, but are served while their playlist is.
fn recorded(cx: &CallContext<'_>) -> SimResponse {
    let key = cx.ask.path.get(1..).unwrap_or_default().join("/");
    let bucket = &cx.state.ivs.bucket;
    if let Some(object) = bucket.get(&key) {
        return SimResponse::file(object.kind, object.body.clone());
    }
    let (folder, file) = key.rsplit_once('/').unwrap_or_default();
    let is_listed = bucket.contains_key(&format!("{folder}/playlist.m3u8"));
    match is_listed && !cx.world.options.media {
        true => Shown::live(None, Duration::ZERO, LiveParts::Never).file(file),
        false => not_found(),
    }
}

fn not_found() -> SimResponse {
    SimResponse::text(404, "text/plain", "Not Found")
}
