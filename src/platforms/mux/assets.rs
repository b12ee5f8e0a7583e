//! Assets: Mux's recordings of broadcasts (`mux.md §4`).

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::Value;

use super::VENDOR;
use super::api::MuxApi;
use super::playback::MuxPlaybackUrls;
use super::wire::Asset;
use crate::platforms::api::ApiCall;
use crate::platforms::wire::{is_id, readable};
use crate::relay::{Recording, RecordingPlace, RecordingState};
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, VendorError};

const ASSETS: [&str; 3] = ["video", "v1", "assets"];
const LIST: &str = "assets.list";
/// The most pages of a list.
const MOST_PAGES: usize = 20;
/// The largest expected difference between Mux's clock and ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// A broadcast is at most 12 h long (`mux.md §2.4`); a longer duration is an error.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

impl MuxApi {
    /// The assets of a live stream, which may be deleted. `since`: only those of later broadcasts, and a few more. Each page names
    /// the next one.
    pub(super) async fn assets(
        &self,
        permit: PermitRequest,
        live_stream: &str,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Asset>, VendorError> {
        let unexpected =
            |what: &str| failure(VENDOR, LIST, Class::Unexpected, Done::No, what.to_owned());
        let mut assets: Vec<Asset> = Vec::new();
        let mut known = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut call = ApiCall::new(LIST, Method::GET, ASSETS)
                .query("live_stream_id", live_stream)
                .query("limit", "100");
            if let Some(cursor) = cursor.take() {
                call = call.query("cursor", cursor);
            }
            let mut page = self.page(permit, call).await?;
            let Some(Value::Array(items)) = page.get_mut("data").map(Value::take) else {
                return Err(unexpected("no list of assets"));
            };
            let read: Vec<Asset> = readable(items);
            let before = assets.len();
            let is_old = |asset: &Asset| {
                let since = since.zip(asset.created());
                since.is_some_and(|(since, created)| created < since - SKEW)
            };
            let is_last = !read.is_empty() && read.iter().all(is_old);
            assets.extend(read.into_iter().filter(|asset| {
                // A filter that is ignored would give us others' recordings.
                let ours = asset.live_stream_id.as_deref() == Some(live_stream);
                ours && !is_old(asset) && is_id(&asset.id) && known.insert(asset.id.clone())
            }));
            let next = page.get("next_cursor").and_then(Value::as_str);
            cursor = next.map(str::to_owned).filter(|next| !next.is_empty());
            if cursor.is_none() || is_last || assets.len() == before {
                break;
            }
        }
        Ok(assets)
    }

    /// Deletes an asset. Succeeds if it is already gone.
    pub(super) async fn delete_asset(
        &self,
        permit: PermitRequest,
        id: &str,
    ) -> Result<(), VendorError> {
        let path = [ASSETS.as_slice(), &[id]].concat();
        let call = ApiCall::new("assets.delete", Method::DELETE, path);
        self.unless_gone(permit, call).await
    }
}

/// `ready` means playable; while the broadcast goes on it is not final (`mux.md §4.2`).
pub(super) fn recording(asset: &Asset, urls: &MuxPlaybackUrls) -> Recording {
    let is_live = asset.is_live();
    let state = match asset.status.as_deref() {
        Some("ready") => RecordingState::Ready,
        Some("errored") => RecordingState::Failed,
        Some(_) | None => RecordingState::Processing,
    };
    let duration = asset
        .duration
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|length| *length >= Duration::from_millis(1) && *length <= LONGEST);
    Recording {
        id: asset.id.clone(),
        state,
        is_final: state == RecordingState::Ready && !is_live,
        // Of a running broadcast it grows.
        duration_ms: duration
            .filter(|_| !is_live)
            .and_then(|length| u64::try_from(length.as_millis()).ok()),
        place: asset.playback_id().map(|id| RecordingPlace::Platform {
            hls_url: urls.hls(&id),
            dash_url: None,
            thumbnail_url: urls.thumbnail(&id),
        }),
        created_at: asset.created(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(asset: Value) -> Recording {
        let asset: Asset = serde_json::from_value(asset).unwrap();
        recording(&asset, &MuxPlaybackUrls::new("https://stream.mux.com"))
    }

    #[test]
    fn an_asset_that_is_ready_is_not_final_while_its_broadcast_runs() {
        let live = json!({"id": "a", "status": "ready", "is_live": true, "duration": 12.5});
        let live = read(live);
        assert_eq!((live.state, live.is_final), (RecordingState::Ready, false));
        assert!(live.is_open() && live.duration_ms.is_none());
        let progress =
            json!({"id": "a", "status": "ready", "progress": {"state": "live", "progress": -1}});
        assert!(!read(progress).is_final);
        let over = json!({"id": "a", "status": "ready", "duration": 12.5,
            "playback_ids": [{"id": "p", "policy": "public"}]});
        let over = read(over);
        assert!(over.is_final && !over.is_open());
        assert_eq!(over.duration_ms, Some(12_500));
        assert_eq!(over.hls_url(), Some("https://stream.mux.com/p.m3u8"));
        let failed = json!({"id": "a", "status": "errored"});
        assert_eq!(read(failed).state, RecordingState::Failed);
        let preparing = json!({"id": "a", "status": "preparing"});
        assert_eq!(read(preparing).state, RecordingState::Processing);
    }

    #[test]
    fn an_unknown_duration_is_not_zero() {
        for unknown in [json!(0), json!(-1), json!(null), json!("12"), json!(1e300)] {
            let asset = json!({"id": "a", "status": "ready", "duration": unknown});
            let asset = read(asset);
            assert_eq!(asset.duration_ms, None);
            assert!(asset.is_open());
        }
    }
}
