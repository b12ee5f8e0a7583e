//! The ingests that channels keep. One is given up by the API's route.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Console, PageFrame, frame, page_or};
use crate::api::Api;
use crate::api::input::Query;
use crate::api::problem::Problem;
use crate::store::{KeptIngestRow, PageRequest};

const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "console/ingests.html")]
struct IngestsPage {
    frame: PageFrame,
    rows: Vec<IngestLine>,
    total: u64,
    is_first: bool,
    next: Option<String>,
}

struct IngestLine {
    channel_id: i64,
    platform: String,
    ingest_id: String,
    title: String,
    hls_url: String,
    created: String,
    key_renewals: i32,
    /// The relay that uses it.
    relay_id: Option<String>,
    /// While something may still publish with the key.
    key_stale: bool,
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = kept(&request, &api).await;
    page_or(&console, &api, request.headers(), made)
}

async fn kept(request: &HttpRequest, api: &Api) -> Result<IngestsPage, Problem> {
    let query = Query::read(request.query_string(), &["cursor"])?;
    let cursor = query.get("cursor").map(str::to_owned);
    let is_first = cursor.is_none();
    let page = PageRequest {
        limit: PAGE_SIZE,
        cursor,
    };
    let kept = api.store.kept_ingests(&page).await?;
    Ok(IngestsPage {
        frame: frame(api, "ingests", request.headers()),
        rows: kept.items.into_iter().map(line).collect(),
        total: api.store.kept_ingest_count().await?,
        is_first,
        next: kept.next_cursor,
    })
}

fn line(row: KeptIngestRow) -> IngestLine {
    IngestLine {
        channel_id: row.channel_id,
        title: row.options().map(|known| known.title).unwrap_or_default(),
        created: row.created_at.format("%Y-%m-%d %H:%M").to_string(),
        key_renewals: row.key_version,
        relay_id: row.relay_id().map(|id| id.to_string()),
        key_stale: row.key_stale,
        platform: row.platform,
        ingest_id: row.ingest_id,
        hls_url: row.hls_url,
    }
}
