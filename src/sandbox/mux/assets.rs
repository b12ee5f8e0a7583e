//! Assets (`mux.md §4`).

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{SimMuxAsset, asset_object, notify_mux};
use super::{data, invalid, not_found, number, only};

/// Newest first. A cursor is the number of the last asset that was shown.
pub(super) fn list(cx: &mut CallContext<'_>) -> SimResponse {
    let ask = cx.ask;
    let known = ["limit", "page", "cursor", "live_stream_id", "upload_id"];
    let page = only(ask, &known).and_then(|()| {
        Ok((
            number(ask, "limit", 25, 100)?,
            number(ask, "page", 1, usize::MAX)?,
        ))
    });
    let (limit, page) = match page {
        Ok(page) => page,
        Err(refusal) => return refusal,
    };
    let before = match ask.query("cursor").map(str::parse::<u64>) {
        None => None,
        Some(Ok(before)) if ask.query("page").is_none() => Some(before),
        Some(_) => return invalid("cursor is invalid"),
    };
    let mut assets: Vec<&SimMuxAsset> = cx
        .state
        .mux
        .assets
        .values()
        .filter(|asset| !asset.deleted && ask.query("upload_id").is_none())
        .filter(|asset| {
            ask.query("live_stream_id")
                .is_none_or(|id| asset.live_stream == id)
        })
        .filter(|asset| before.is_none_or(|before| asset.number < before))
        .collect();
    assets.sort_by_key(|asset| std::cmp::Reverse(asset.number));
    let skipped = limit.saturating_mul(page - 1);
    let shown: Vec<_> = assets.iter().skip(skipped).take(limit).collect();
    let is_last = skipped + shown.len() >= assets.len();
    let next = shown
        .last()
        .filter(|_| !is_last)
        .map(|last| last.number.to_string());
    let object = |asset: &&&SimMuxAsset| asset_object(cx.world, cx.now, asset, false);
    let items: Vec<Value> = shown.iter().map(object).collect();
    SimResponse::json(200, &json!({"data": items, "next_cursor": next}))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    let object = found(cx).map(|asset| asset_object(cx.world, cx.now, asset, false));
    object.map_or_else(not_found, |object| data(200, &object))
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let Some(asset) = found(cx) else {
        return not_found();
    };
    if asset.is_live {
        return invalid("the asset's live stream is active");
    }
    let id = asset.id.clone();
    notify_mux(cx.state, cx.world, cx.now, "video.asset.deleted", &id);
    if let Some(asset) = cx.state.mux.assets.get_mut(&id) {
        asset.deleted = true;
        asset.broadcast = None;
    }
    SimResponse::empty(204)
}

fn found<'a>(cx: &'a CallContext<'_>) -> Option<&'a SimMuxAsset> {
    let asset = cx.state.mux.assets.get(cx.ask.part(3));
    asset.filter(|asset| !asset.deleted)
}
