//! `/v1/relays`: all relays, and one with its journal and its recordings.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use crate::actors::view::{RecordingView, RelayView, WireTime};
use crate::api::Api;
use crate::api::input::{Query, relay_id};
use crate::api::problem::Problem;
use crate::relay::Phase;
use crate::store::{RelayFilter, StoredEntry};

#[derive(Debug, Serialize)]
struct RelayPage {
    relays: Vec<RelayView>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct RecordingPage {
    recordings: Vec<RecordingView>,
    /// A relay has few recordings: they are one page.
    next_cursor: Option<String>,
}

pub(super) async fn relays(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["phase", "limit", "cursor"])?;
    let phase = query.get("phase").map(phase).transpose()?;
    let filter = RelayFilter {
        channel_id: None,
        phase: phase.map(|phase| phase.to_string()),
    };
    page_of(&api, &filter, &query).await
}

fn phase(text: &str) -> Result<Phase, Problem> {
    text.parse().map_err(|_| {
        let all: Vec<String> = Phase::iter().map(|phase| phase.to_string()).collect();
        Problem::parameter("phase", format!("one of {}", all.join(", ")))
    })
}

/// A page of relays, newest first. One that has left the phase asked for since it was stored is left out.
pub(super) async fn page_of(
    api: &Api,
    filter: &RelayFilter,
    query: &Query,
) -> Result<HttpResponse, Problem> {
    let page = api.store.relays(filter, &query.page()?).await?;
    let fits = |relay: &RelayView| {
        filter
            .phase
            .as_ref()
            .is_none_or(|phase| relay.phase == *phase)
    };
    let relays: Vec<RelayView> = page
        .items
        .iter()
        .map(|row| api.row(row))
        .filter(fits)
        .collect();
    Ok(HttpResponse::Ok().json(RelayPage {
        relays,
        next_cursor: page.next_cursor,
    }))
}

pub(super) async fn relay(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = relay_id(&path)?;
    Query::read(request.query_string(), &[])?;
    match api.relay(id).await? {
        Some(relay) => Ok(HttpResponse::Ok().json(relay)),
        None => Err(unknown()),
    }
}

fn unknown() -> Problem {
    Problem::not_found("There is no such relay.")
}

pub(super) async fn events(
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
    let events: Vec<Value> = page.items.iter().map(event).collect();
    Ok(HttpResponse::Ok().json(json!({"events": events, "next_cursor": page.next_cursor})))
}

fn event(stored: &StoredEntry) -> Value {
    let entry = &stored.entry;
    json!({
        "sequence": stored.seq,
        "at": WireTime(entry.at),
        "event": entry.kind,
        "phase": entry.phase,
        "data": entry.data,
        "actions": entry.actions,
    })
}

pub(super) async fn recordings(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = relay_id(&path)?;
    Query::read(request.query_string(), &[])?;
    match api.relay(id).await? {
        Some(relay) => Ok(HttpResponse::Ok().json(RecordingPage {
            recordings: relay.recordings,
            next_cursor: None,
        })),
        None => Err(unknown()),
    }
}
