//! `/admin`: the operators' JSON endpoints. Their pages are in [`crate::console`].

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::body::JsonBody;
use super::input::{Query, relay_id};
use super::openapi::requests::{EmptyBody, PageQuery, RelayPath, SweepQuery};
use super::problem::{Code, Problem};
use super::routes::Routes;
use super::v1::stop::answered;
use crate::actors::view::{RelayView, WireTime, describe};
use crate::actors::{Finding, RelaySnapshot, StopRequest, SweepError};

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .reads("/actors", actors)
        .writes("/relays/{relay_id}/stop", stop)
        .writes("/sweep", sweep);
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActorPage {
    actors: Vec<Actor>,
    /// Actors on all pages.
    total: usize,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<Uuid>,
}

/// The actor that drives one relay.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Actor {
    relay_id: Uuid,
    channel_id: i64,
    channel_name: String,
    #[schema(schema_with = describe::phase)]
    phase: String,
    /// When the phase began.
    since: WireTime,
    /// Restarts after a crash.
    restarts: u32,
    last_event_at: WireTime,
    /// When the actor wakes, unless an event comes first.
    next_wake_at: Option<WireTime>,
    last_error: Option<String>,
    node: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sweep)]
pub(super) struct SweepReport {
    dry_run: bool,
    /// Every object that bears a tag.
    findings: Vec<Finding>,
    /// A vendor may have cut its list short; objects beyond the cut were not seen.
    may_be_cut: bool,
}

/// List actors
///
/// Actors on all nodes, oldest relay first. Those of other nodes are shown as stored, without restarts, last event and last
/// error.
#[utoipa::path(
    get, path = "/admin/actors", tag = "operators", operation_id = "listActors",
    params(PageQuery),
    responses((status = 200, body = ActorPage, description = "A page of actors.")),
)]
pub(super) async fn actors(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["limit", "cursor"])?;
    let page = query.page()?;
    let after = page.cursor.as_deref().map(Uuid::try_parse).transpose();
    let after = after.map_err(|_| Problem::parameter("cursor", "not a cursor of this list"))?;
    let mut all = api.service.all().await?;
    let total = all.len();
    all.sort_unstable_by_key(|(snapshot, _)| snapshot.durable.spec.relay_id);
    all.retain(|(snapshot, _)| after.is_none_or(|after| snapshot.durable.spec.relay_id > after));
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().filter(|_| more);
    Ok(HttpResponse::Ok().json(ActorPage {
        total,
        next_cursor: last.map(|(last, _)| last.durable.spec.relay_id),
        actors: all
            .iter()
            .map(|(snapshot, node)| actor(snapshot, node))
            .collect(),
    }))
}

fn actor(snapshot: &RelaySnapshot, node: &str) -> Actor {
    let durable = &snapshot.durable;
    Actor {
        relay_id: durable.spec.relay_id,
        channel_id: durable.spec.channel_id,
        channel_name: durable.spec.channel_name.clone(),
        phase: durable.phase.to_string(),
        since: WireTime(durable.phase_since),
        restarts: snapshot.restarts,
        last_event_at: WireTime(snapshot.last_event_at),
        next_wake_at: snapshot.next_wake_at.map(WireTime),
        last_error: snapshot.last_error.clone(),
        node: node.to_owned(),
    }
}

/// Stop a relay
#[utoipa::path(
    post, path = "/admin/relays/{relay_id}/stop", tag = "operators", operation_id = "stopRelayByHand",
    params(RelayPath), request_body = Option<EmptyBody>,
    responses(
        (status = 202, body = RelayView, description = "The relay is stopping."),
        (status = 200, body = RelayView, description = "It had ended already."),
    ),
    extensions(("x-problems" = json!(["not-found", "starting"]))),
)]
pub(super) async fn stop(
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let relay_id = relay_id(&path)?;
    JsonBody::read_optional(&body)?.check::<EmptyBody>(&[])?;
    let stop = StopRequest {
        channel_id: None,
        relay_id: Some(relay_id),
        request_key: None,
    };
    let answer = api.service.stop(stop).await;
    answered(&api, answer)
}

/// Run the janitor once
///
/// Lists every object at the vendors that bears a tag, and what was done with it.
#[utoipa::path(
    post, path = "/admin/sweep", tag = "operators", operation_id = "sweep",
    params(SweepQuery),
    responses((status = 200, body = SweepReport, description = "What was found.")),
    extensions(("x-problems" = json!(["vendor-unauthorized", "vendor-rejected", "vendor-rate-limited", "vendor-quota", "vendor-unavailable", "vendor-timeout", "starting"]))),
)]
pub(super) async fn sweep(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["dry_run"])?;
    // An empty `dry_run=` is more likely a half-written dry run than a real sweep.
    let dry_run = match query.get_or_empty("dry_run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::parameter("dry_run", "true or false")),
    };
    match api.service.sweep(dry_run).await {
        Ok(sweep) => Ok(HttpResponse::Ok().json(SweepReport {
            dry_run,
            findings: sweep.findings,
            may_be_cut: sweep.may_be_cut || sweep.converters_may_be_cut,
        })),
        Err(SweepError::Starting) => Err(Problem::new(
            Code::Starting,
            "This process does not drive the relays.",
        )),
        Err(SweepError::Store(error)) => Err(error.into()),
        Err(SweepError::Vendor(error)) => Err(Problem::from(&error)),
    }
}
