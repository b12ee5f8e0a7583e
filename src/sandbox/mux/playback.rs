//! The public playback host (`mux.md §3`).

use std::time::Duration;

use super::super::calls::VendorCall;
use super::super::customer::test_file;
use super::super::host::{Host, public_host};
use super::super::http::{CallContext, SimRequest, SimResponse};
use super::super::media::{playlist, segment_number};
use super::super::world::{MuxPlaybackId, MuxStatus, WorldState};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

pub(in crate::sandbox) const HOST: Host = public_host(route, dispatch);

fn route(ask: &SimRequest) -> Option<VendorCall> {
    let parts = ask.parts();
    let is_known = match parts.as_slice() {
        [file] => file.ends_with(".m3u8"),
        [_, "720p.m3u8" | "init.mp4"] => true,
        [_, file] => segment_number(file).is_some(),
        _ => false,
    };
    (is_known && ask.method == "GET").then_some(VendorCall::MuxManifest)
}

fn dispatch(_: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    // Players on any origin read manifests.
    answer(cx).with("Access-Control-Allow-Origin", "*")
}

fn answer(cx: &CallContext<'_>) -> SimResponse {
    let first = cx.ask.part(0);
    let id = first.strip_suffix(".m3u8").unwrap_or(first);
    let (shown, over) = match played(cx.state, cx.now, id) {
        Played::Shown(shown, over) => (shown, over),
        Played::NotActive => return SimResponse::text(412, "text/plain", "Precondition Failed"),
        Played::Signed => return SimResponse::text(403, "text/plain", "Forbidden"),
        Played::Unknown => return SimResponse::text(404, "text/plain", "Not Found"),
    };
    match cx.ask.part(1) {
        "" => SimResponse::text(
            200,
            PLAYLIST,
            format!(
                "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:RESOLUTION=1280x720,CODECS=\"avc1.4d401f\",BANDWIDTH=3600000,FRAME-RATE=30.000\n{id}/720p.m3u8\n"
            ),
        ),
        "720p.m3u8" => SimResponse::text(200, PLAYLIST, playlist(shown, over)),
        file => test_file(file),
    }
}

enum Played {
    /// How much there is, and whether that is all.
    Shown(Duration, bool),
    NotActive,
    Signed,
    Unknown,
}

/// A live stream's manifest stays during its reconnect window; an asset's is there once it is ready, also while live.
fn played(state: &WorldState, now: Duration, id: &str) -> Played {
    let policy_of = |all: &[MuxPlaybackId]| {
        let found = all.iter().find(|one| one.id == id);
        found.map(|one| one.policy == "public")
    };
    let mut streams = state.mux.streams.values().filter(|stream| !stream.deleted);
    let stream = streams.find_map(|one| Some((one, policy_of(&one.playback_ids)?)));
    if let Some((stream, is_public)) = stream {
        let since = stream.active_since;
        return match (is_public, stream.status) {
            (false, _) => Played::Signed,
            (true, MuxStatus::Active) => {
                let shown = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
                Played::Shown(shown, false)
            }
            (true, MuxStatus::Idle | MuxStatus::Disabled) => Played::NotActive,
        };
    }
    let mut assets = state.mux.assets.values().filter(|asset| !asset.deleted);
    match assets.find_map(|one| Some((one, policy_of(&one.playback_ids)?))) {
        Some((_, false)) => Played::Signed,
        Some((asset, true)) if !asset.ready => Played::NotActive,
        Some((asset, true)) => Played::Shown(asset.length(now), !asset.is_live),
        None => Played::Unknown,
    }
}
