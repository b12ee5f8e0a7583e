use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::start::{platform_off, request_refusal};
use crate::actors::GiveUpError;
use crate::actors::view::WireTime;
use crate::api::Api;
use crate::api::input::{Query, channel_id};
use crate::api::openapi::requests::{ChannelPath, PageQuery, PlatformQuery};
use crate::api::problem::{Code, Problem};
use crate::store::KeptIngestRow;

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct IngestPage {
    ingests: Vec<IngestView>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

/// An ingest that a channel keeps from one relay to the next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ingest)]
pub(in crate::api) struct IngestView {
    channel_id: i64,
    platform: String,
    /// The platform's id of it.
    ingest_id: String,
    /// The HLS manifest of every broadcast.
    hls_playback_url: String,
    created_at: WireTime,
    /// The relay that uses it.
    relay_id: Option<Uuid>,
}

impl From<&KeptIngestRow> for IngestView {
    fn from(row: &KeptIngestRow) -> Self {
        Self {
            channel_id: row.channel_id,
            platform: row.platform.clone(),
            ingest_id: row.ingest_id.clone(),
            hls_playback_url: row.hls_url.clone(),
            created_at: WireTime(row.created_at),
            relay_id: row.relay_id(),
        }
    }
}

/// List kept ingests
///
/// The ingests that channels keep from one relay to the next, by channel and platform.
#[utoipa::path(
    get, path = "/v1/ingests", tag = "channels", operation_id = "listIngests",
    params(PageQuery),
    responses((status = 200, body = IngestPage, description = "A page of kept ingests.")),
)]
pub(in crate::api) async fn ingests(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["limit", "cursor"])?;
    let page = api.store.kept_ingests(&query.page()?).await?;
    Ok(HttpResponse::Ok().json(IngestPage {
        ingests: page.items.iter().map(IngestView::from).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Give up a channel's ingest
///
/// The ingest that the channel keeps at the platform is removed in the background; its recordings stay. The next relay whose
/// `ingest_owner` is `channel` makes another, with another URL.
#[utoipa::path(
    delete, path = "/v1/channels/{channel_id}/ingest", tag = "channels", operation_id = "giveUpIngest",
    params(ChannelPath, PlatformQuery),
    responses((status = 202, body = IngestView, description = "It is being removed.")),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(in crate::api) async fn give_up(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    let query = Query::read(request.query_string(), &["platform"])?;
    match api
        .service
        .give_up_ingest(channel_id, query.get("platform"))
        .await
    {
        Ok(row) => Ok(HttpResponse::Accepted().json(IngestView {
            relay_id: None,
            ..IngestView::from(&row)
        })),
        Err(GiveUpError::NothingKept) => Err(Problem::not_found(
            "The channel keeps no ingest at this platform.",
        )),
        Err(GiveUpError::PlatformOff { on }) => Err(platform_off(&on)),
        Err(GiveUpError::InUse) => Err(Problem::new(
            Code::Conflict,
            "A relay of the channel uses the ingest, or its key is being renewed. Stop the relay, and try again once it is over.",
        )),
        Err(GiveUpError::Request(error)) => Err(request_refusal(error)),
    }
}
