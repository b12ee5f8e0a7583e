//! `/admin`: what operators see and do, for machines; for people it is [`super::console`].

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Api;
use super::input::{Fields, Query, relay_id};
use super::problem::{Code, Problem};
use super::v1::stop::answered;
use super::{reads, writes};
use crate::actors::view::WireTime;
use crate::actors::{Snapshot, StopRequest, SweepError};

/// The routes, inside their scope.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(reads("/actors", actors))
        .service(writes("/relays/{relay_id}/stop", stop))
        .service(writes("/sweep", sweep));
}

/// What runs now and what it waits for, in the order of the relays' ids, which is that of their age.
async fn actors(request: HttpRequest, api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["limit", "cursor"])?;
    let page = query.page()?;
    let after = page.cursor.as_deref().map(Uuid::try_parse).transpose();
    let after = after.map_err(|_| Problem::parameter("cursor", "not a cursor of this list"))?;
    let mut all = api.keeper.directory().all();
    let total = all.len();
    all.sort_unstable_by_key(|snapshot| snapshot.durable.spec.relay_id);
    all.retain(|snapshot| after.is_none_or(|after| snapshot.durable.spec.relay_id > after));
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().filter(|_| more);
    let actors: Vec<Value> = all
        .iter()
        .map(|snapshot| actor(snapshot, &api.node))
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "actors": actors,
        "total": total,
        "next_cursor": last.map(|last| last.durable.spec.relay_id),
    })))
}

fn actor(snapshot: &Snapshot, node: &str) -> Value {
    let durable = &snapshot.durable;
    json!({
        "relay_id": durable.spec.relay_id,
        "channel_id": durable.spec.channel_id,
        "channel_name": durable.spec.channel_name,
        "phase": durable.phase,
        "since": WireTime(durable.phase_since),
        "restarts": snapshot.restarts,
        "last_event_at": WireTime(snapshot.last_event_at),
        "next_wake_at": snapshot.next_wake_at.map(WireTime),
        "last_error": snapshot.last_error,
        "node": node,
    })
}

/// Stops a relay by hand.
async fn stop(
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let relay_id = relay_id(&path)?;
    Fields::read_optional(&body)?.finish()?;
    let stop = StopRequest {
        channel_id: None,
        relay_id: Some(relay_id),
        keyed_by: None,
    };
    let answer = api.keeper.stop(stop).await;
    answered(&api, answer)
}

/// One pass of the janitor by hand: what the vendors hold with a mark, and what became of it.
async fn sweep(request: HttpRequest, api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["dry_run"])?;
    let dry_run = match query.get("dry_run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::parameter("dry_run", "true or false")),
    };
    match api.keeper.sweep(dry_run).await {
        Ok(sweep) => Ok(HttpResponse::Ok().json(json!({
            "dry_run": dry_run,
            "findings": sweep.findings,
            "may_be_cut": sweep.may_be_cut,
        }))),
        Err(SweepError::Starting) => Err(Problem::new(
            Code::Starting,
            "This process does not hold the database.",
        )),
        Err(SweepError::Store(error)) => Err(error.into()),
        Err(SweepError::Vendor(error)) => Err(Problem::from(&error)),
    }
}
