//! The public playback host, and the recordings that an operator serves from the bucket (`ivs.md §3.3, §4.5`).

use super::super::calls::VendorCall;
use super::super::customer::test_file;
use super::super::host::{Host, public_host};
use super::super::http::{CallContext, SimRequest, SimResponse};
use super::super::media::{playlist, segment_number};
use super::super::world::SimChannel;

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
    let channel = channels.find(|channel| channel.playback_path == path);
    let since = channel.and_then(SimChannel::stream);
    let Some((since, _)) = since.and_then(|stream| stream.live) else {
        return not_found();
    };
    if channel.is_some_and(|channel| channel.settings.authorized) {
        return SimResponse::text(403, "text/plain", "Forbidden");
    }
    match cx.ask.part(4) {
        "" => SimResponse::text(
            200,
            PLAYLIST,
            format!(
                "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:RESOLUTION=1280x720,CODECS=\"avc1.4d401f\",BANDWIDTH=3600000,FRAME-RATE=30.000\n{name}/720p30.m3u8\n"
            ),
        ),
        "720p30.m3u8" => {
            let shown = cx.now.saturating_sub(since);
            SimResponse::text(200, PLAYLIST, playlist(shown, false))
        }
        file if file == "init.mp4" || segment_number(file).is_some() => test_file(file),
        _ => not_found(),
    }
}

/// Objects of the bucket. Segments are not in it, but are served while their playlist is.
fn recorded(cx: &CallContext<'_>) -> SimResponse {
    let key = cx.ask.path.get(1..).unwrap_or_default().join("/");
    let bucket = &cx.state.ivs.bucket;
    if let Some(object) = bucket.get(&key) {
        return SimResponse::file(object.kind, object.body.to_vec());
    }
    let (folder, file) = key.rsplit_once('/').unwrap_or_default();
    let is_segment = file == "init.mp4" || segment_number(file).is_some();
    match is_segment && bucket.contains_key(&format!("{folder}/playlist.m3u8")) {
        true => test_file(file),
        false => not_found(),
    }
}

fn not_found() -> SimResponse {
    SimResponse::text(404, "text/plain", "Not Found")
}
