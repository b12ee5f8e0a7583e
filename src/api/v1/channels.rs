//! `/v1/channels/{channel_id}`: a channel, what it plays, what it played.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use super::relays::page_of;
use crate::actors::view::{RecordingView, RelayView};
use crate::api::Api;
use crate::api::input::{Query, channel_id};
use crate::api::problem::{Code, Problem};
use crate::api::relays::recording_view;
use crate::store::RelayFilter;

/// A channel.
#[derive(Debug, Serialize)]
struct Channel {
    channel_id: i64,
    relay: RelayView,
    last_recording: Option<RecordingView>,
}

/// What a channel plays.
#[derive(Debug, Serialize)]
struct Playback {
    channel_id: i64,
    hls_url: String,
    dash_url: Option<String>,
    is_live: bool,
    /// `live`: the relay's broadcast, on air or about to be; `recording`: the last recording.
    source: &'static str,
    relay_id: Uuid,
    relay_status: Option<&'static str>,
    video_uid: Option<String>,
    thumbnail_url: Option<String>,
    duration_seconds: Option<u64>,
}

pub(super) async fn channel(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    Query::read(request.query_string(), &[])?;
    let Some(relay) = api.newest_relay(channel_id).await? else {
        return Err(Problem::not_found("This channel never had a relay."));
    };
    let last_recording = api.store.last_ready_recording(channel_id).await?;
    Ok(HttpResponse::Ok().json(Channel {
        channel_id,
        relay,
        last_recording: last_recording.as_ref().map(recording_view),
    }))
}

/// The broadcast of the relay that holds the channel's slot; without one, the last recording.
pub(super) async fn playback(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    Query::read(request.query_string(), &[])?;
    let on_air = api.on_air(channel_id).await?;
    let broadcast = on_air.and_then(|relay| {
        Some(Playback {
            channel_id,
            hls_url: relay.hls_playback_url?,
            dash_url: relay.dash_playback_url,
            is_live: relay.is_live,
            source: "live",
            relay_id: relay.id,
            relay_status: Some(relay.relay_status),
            video_uid: None,
            thumbnail_url: None,
            duration_seconds: None,
        })
    });
    if let Some(broadcast) = broadcast {
        return Ok(HttpResponse::Ok().json(broadcast));
    }
    let recording = api.store.last_ready_recording(channel_id).await?;
    let recorded = recording.and_then(|recording| {
        let view = recording_view(&recording);
        Some(Playback {
            channel_id,
            hls_url: view.hls_url?,
            dash_url: view.dash_url,
            is_live: false,
            source: "recording",
            relay_id: recording.relay_id,
            relay_status: None,
            video_uid: Some(view.video_uid),
            thumbnail_url: view.thumbnail_url,
            duration_seconds: view.duration_seconds,
        })
    });
    match recorded {
        Some(recorded) => Ok(HttpResponse::Ok().json(recorded)),
        None => Err(Problem::new(
            Code::NoPlayback,
            "The channel is not on air and has no recording.",
        )),
    }
}

pub(super) async fn history(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let filter = RelayFilter {
        channel_id: Some(channel_id(&path)?),
        phase: None,
    };
    let query = Query::read(request.query_string(), &["limit", "cursor"])?;
    page_of(&api, &filter, &query).await
}
