use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;
use uuid::Uuid;

use super::Api;
use super::problem::Problem;
use super::relays::recording_view;
use crate::actors::view::describe;
use crate::relay::{Latency, RelayStatus};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Playback)]
pub(super) struct PlaybackView {
    pub(super) channel_id: i64,
    /// The streaming platform.
    platform: String,
    pub(super) hls_url: String,
    /// The LL-HLS manifest of a broadcast of low latency. Null if the platform has none: then its own player may be as near.
    ll_hls_url: Option<String>,
    dash_url: Option<String>,
    /// Whether a buyer can play the broadcast now.
    is_live: bool,
    /// `live`: a broadcast, on air or about to be; `recording`: the last recording; `ingest`: the ingest that the channel keeps
    /// for its next broadcast, as long as there is no recording.
    #[schema(schema_with = source)]
    source: &'static str,
    /// Null for an ingest.
    relay_id: Option<Uuid>,
    /// Null unless it is a broadcast.
    #[schema(schema_with = status)]
    relay_status: Option<RelayStatus>,
    /// The recording's id at the platform. Null unless it is a recording, as are the next two fields.
    video_uid: Option<String>,
    thumbnail_url: Option<String>,
    duration_seconds: Option<u64>,
}

fn source() -> Object {
    describe::one_of(["live", "recording", "ingest"])
}

fn status() -> Object {
    describe::nullable(describe::relay_status())
}

impl Api {
    fn ll_hls_url(&self, platform: &str, latency: Latency, hls_url: &str) -> Option<String> {
        let platform = self.platforms.get(platform)?;
        match latency {
            Latency::Normal => None,
            Latency::Low => platform.low_latency_url(hls_url),
        }
    }

    pub(super) async fn playback(&self, channel_id: i64) -> Result<Option<PlaybackView>, Problem> {
        let on_air = self.on_air(channel_id).await?;
        let broadcast = on_air.and_then(|relay| {
            let hls_url = relay.hls_playback_url?;
            Some(PlaybackView {
                channel_id,
                ll_hls_url: self.ll_hls_url(&relay.platform, relay.latency, &hls_url),
                platform: relay.platform,
                hls_url,
                dash_url: relay.dash_playback_url,
                is_live: relay.is_live,
                source: "live",
                relay_id: Some(relay.id),
                relay_status: Some(relay.relay_status),
                video_uid: None,
                thumbnail_url: None,
                duration_seconds: None,
            })
        });
        if broadcast.is_some() {
            return Ok(broadcast);
        }
        let recording = self.store.last_ready_recording(channel_id).await?;
        let recording = recording.and_then(|recording| {
            let view = recording_view(&recording);
            Some(PlaybackView {
                channel_id,
                platform: recording.platform.clone(),
                hls_url: view.hls_url?,
                ll_hls_url: None,
                dash_url: view.dash_url,
                is_live: false,
                source: "recording",
                relay_id: Some(*recording.relay_id),
                relay_status: None,
                video_uid: Some(view.id),
                thumbnail_url: view.thumbnail_url,
                duration_seconds: view.duration_seconds,
            })
        });
        if recording.is_some() {
            return Ok(recording);
        }
        let kept = self.store.kept_ingests_of(channel_id).await?;
        Ok(kept.into_iter().next().map(|kept| PlaybackView {
            channel_id,
            ll_hls_url: kept.options().ok().and_then(|options| {
                self.ll_hls_url(&kept.platform, options.latency, &kept.hls_url)
            }),
            platform: kept.platform,
            hls_url: kept.hls_url,
            dash_url: kept.dash_url,
            is_live: false,
            source: "ingest",
            relay_id: None,
            relay_status: None,
            video_uid: None,
            thumbnail_url: None,
            duration_seconds: None,
        }))
    }
}
