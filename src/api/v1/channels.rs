//! `/v1/channels/{channel_id}`: a channel, what it plays, what it played.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

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

pub(super) async fn playback(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    Query::read(request.query_string(), &[])?;
    match api.playback(channel_id).await? {
        Some(playback) => Ok(HttpResponse::Ok().json(playback)),
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
