//! The public playback host (`mux.md §3`).

use std::time::Duration;

use super::super::calls::VendorCall;
use super::super::host::{Host, public_host};
use super::super::http::{CallContext, SimRequest, SimResponse};
use super::super::media::{LiveParts, Shown, is_media_file};
use super::super::world::{MuxPlaybackId, MuxStatus, WorldState};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

pub(in crate::sandbox) const HOST: Host = public_host(route, dispatch);

fn route(ask: &SimRequest) -> Option<VendorCall> {
    let parts = ask.parts();
    let is_known = match parts.as_slice() {
        [file] => file.ends_with(".m3u8"),
        [_, "720p.m3u8"] => true,
        [_, file] => is_media_file(file),
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
    let shown = match played(cx.state, cx.now, id) {
        Played::Shown(shown) => shown,
        Played::NotActive => return SimResponse::text(412, "text/plain", "Precondition Failed"),
        Played::Signed => return SimResponse::text(403, "text/plain", "Forbidden"),
        Played::Unknown => return SimResponse::text(404, "text/plain", "Not Found"),
    };
    match cx.ask.part(1) {
        "" => {
            let media = format!("{id}/720p.m3u8");
            SimResponse::text(200, PLAYLIST, shown.master(cx.ask, &media))
        }
        "720p.m3u8" => shown.playlist(cx.ask, PLAYLIST),
        file => shown.file(file),
    }
}

enum Played {
    Shown(Shown),
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
                let length = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
                let parts = match stream.settings.latency_mode.as_str() {
                    "low" => LiveParts::Always,
                    _ => LiveParts::Never,
                };
                Played::Shown(Shown::live(stream.broadcast.as_ref(), length, parts))
            }
            (true, MuxStatus::Idle | MuxStatus::Disabled) => Played::NotActive,
        };
    }
    let mut assets = state.mux.assets.values().filter(|asset| !asset.deleted);
    match assets.find_map(|one| Some((one, policy_of(&one.playback_ids)?))) {
        Some((_, false)) => Played::Signed,
        Some((asset, true)) if !asset.ready => Played::NotActive,
        Some((asset, true)) => {
            let (length, is_over) = (asset.length(now), !asset.is_live);
            Played::Shown(Shown::recorded(asset.broadcast.as_ref(), length, is_over))
        }
        None => Played::Unknown,
    }
}
