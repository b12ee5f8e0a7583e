use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use strum::IntoEnumIterator as _;
use utoipa::ToSchema;

use crate::actors::view::{RecordingView, RelayView, WireTime, describe};
use crate::api::Api;
use crate::api::input::{Query, relay_id};
use crate::api::openapi::requests::{PageQuery, RelayPath, RelayQuery};
use crate::api::problem::Problem;
use crate::relay::Phase;
use crate::store::{RelayFilter, StoredEntry};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelayPage)]
pub(in crate::api) struct RelayListView {
    relays: Vec<RelayView>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EventPage {
    events: Vec<JournalEvent>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

/// A fact in a relay's journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::api) struct JournalEvent {
    /// From 1, without gaps.
    sequence: i64,
    at: WireTime,
    /// The fact's name.
    event: String,
    /// The phase after the fact.
    #[schema(schema_with = describe::phase)]
    phase: String,
    data: Value,
    /// The vendor calls that followed.
    actions: Value,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RecordingPage {
    recordings: Vec<RecordingView>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// List relays
///
/// Newest first. `phase=live` lists what is on air.
#[utoipa::path(
    get, path = "/v1/relays", tag = "relays", operation_id = "listRelays",
    params(RelayQuery, PageQuery),
    responses((status = 200, body = RelayListView, description = "A page of relays.")),
)]
pub(in crate::api) async fn relays(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["phase", "limit", "cursor"])?;
    let phase = query.get("phase").map(phase).transpose()?;
    let filter = RelayFilter {
        channel_id: None,
        phase,
    };
    page_of(&api, &filter, &query).await
}

fn phase(text: &str) -> Result<Phase, Problem> {
    text.parse().map_err(|_| {
        let all: Vec<String> = Phase::iter().map(|phase| phase.to_string()).collect();
        Problem::parameter("phase", format!("one of {}", all.join(", ")))
    })
}

/// Skips relays that have left the phase since they were stored.
pub(super) async fn page_of(
    api: &Api,
    filter: &RelayFilter,
    query: &Query,
) -> Result<HttpResponse, Problem> {
    let page = api.store.relays(filter, &query.page()?).await?;
    let fits = |relay: &RelayView| filter.phase.is_none_or(|phase| relay.phase == phase);
    let relays: Vec<RelayView> = page
        .items
        .iter()
        .map(|row| api.row(row))
        .filter(fits)
        .collect();
    Ok(HttpResponse::Ok().json(RelayListView {
        relays,
        next_cursor: page.next_cursor,
    }))
}

/// Get a relay
#[utoipa::path(
    get, path = "/v1/relays/{relay_id}", tag = "relays", operation_id = "getRelay",
    params(RelayPath),
    responses((status = 200, body = RelayView, description = "The relay.")),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(in crate::api) async fn relay(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(named(&request, &path, &api).await?))
}

async fn named(request: &HttpRequest, path: &str, api: &Api) -> Result<RelayView, Problem> {
    let id = relay_id(path)?;
    Query::read(request.query_string(), &[])?;
    api.relay(id).await?.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("The relay does not exist.")
}

/// List a relay's journal
///
/// Its facts, oldest first. The relay's state is derived from them.
#[utoipa::path(
    get, path = "/v1/relays/{relay_id}/events", tag = "relays", operation_id = "listRelayEvents",
    params(RelayPath, PageQuery),
    responses((status = 200, body = EventPage, description = "A page of the journal.")),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(in crate::api) async fn events(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = relay_id(&path)?;
    let query = Query::read(request.query_string(), &["limit", "cursor"])?;
    let page = api.store.journal(id, &query.page()?).await?;
    if page.items.is_empty() && api.store.relay(id).await?.is_none() {
        return Err(unknown());
    }
    Ok(HttpResponse::Ok().json(EventPage {
        events: page.items.iter().map(event).collect(),
        next_cursor: page.next_cursor,
    }))
}

fn event(stored: &StoredEntry) -> JournalEvent {
    let entry = &stored.entry;
    JournalEvent {
        sequence: stored.seq,
        at: WireTime(entry.at),
        event: entry.kind.clone(),
        phase: entry.phase.to_string(),
        data: entry.data.clone(),
        actions: entry.actions.clone(),
    }
}

/// List a relay's recordings
#[utoipa::path(
    get, path = "/v1/relays/{relay_id}/recordings", tag = "relays", operation_id = "listRelayRecordings",
    params(RelayPath),
    responses((status = 200, body = RecordingPage, description = "Its recordings.")),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(in crate::api) async fn recordings(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let relay = named(&request, &path, &api).await?;
    Ok(HttpResponse::Ok().json(RecordingPage {
        recordings: relay.recordings,
        next_cursor: None,
    }))
}
