use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::relays::{RelayListView, page_of};
use crate::actors::view::{RecordingView, RelayView};
use crate::api::Api;
use crate::api::input::{Query, channel_id};
use crate::api::openapi::requests::{ChannelPath, PageQuery};
use crate::api::playback::PlaybackView;
use crate::api::problem::{Code, Problem};
use crate::api::relays::recording_view;
use crate::store::RelayFilter;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub(in crate::api) struct ChannelView {
    channel_id: i64,
    relay: RelayView,
    /// The newest ready recording of any relay.
    last_recording: Option<RecordingView>,
}

/// Get a channel
///
/// With its newest relay in any phase, and its newest recording.
#[utoipa::path(
    get, path = "/v1/channels/{channel_id}", tag = "channels", operation_id = "getChannel",
    params(ChannelPath),
    responses((status = 200, body = ChannelView, description = "The channel.")),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(in crate::api) async fn channel(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    Query::read(request.query_string(), &[])?;
    let Some(relay) = api.newest_relay(channel_id).await? else {
        return Err(Problem::not_found("The channel has never had a relay."));
    };
    let last_recording = api.store.last_ready_recording(channel_id).await?;
    Ok(HttpResponse::Ok().json(ChannelView {
        channel_id,
        relay,
        last_recording: last_recording.as_ref().map(recording_view),
    }))
}

/// Get what a channel plays
///
/// The broadcast of the relay that holds the channel's slot (`source` is `live`), on air or about to be; else the last
/// recording; else the ingest that the channel keeps (`source` is `ingest`), whose URL plays its next broadcast.
#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/playback", tag = "channels", operation_id = "getPlayback",
    params(ChannelPath),
    responses((status = 200, body = PlaybackView, description = "What to play.")),
    extensions(("x-problems" = json!(["no-playback"]))),
)]
pub(in crate::api) async fn playback(
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
            "The channel is not on air, has no recording, and keeps no ingest.",
        )),
    }
}

/// List a channel's relays
///
/// Newest first.
#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/relays", tag = "channels", operation_id = "listChannelRelays",
    params(ChannelPath, PageQuery),
    responses((status = 200, body = RelayListView, description = "A page of relays.")),
)]
pub(in crate::api) async fn history(
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
