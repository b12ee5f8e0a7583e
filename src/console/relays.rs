//! The table of relays in work.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use strum::IntoEnumIterator as _;

use super::rows::{PAGE, Row, Sort, Wanted};
use super::{Console, Frame, frame, page_or, say};
use crate::actors::Snapshot;
use crate::api::Api;
use crate::api::input::Query;
use crate::api::problem::Problem;
use crate::relay::Phase;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "console/relays.html")]
struct Relays {
    frame: Frame,
    words: String,
    failing: bool,
    sort: &'static str,
    down: bool,
    phases: Vec<(String, String, bool)>,
    columns: Vec<Heading>,
    rows: Vec<Shown>,
    total: usize,
    first: usize,
    last: usize,
    previous: Option<String>,
    next: Option<String>,
}

struct Heading {
    name: &'static str,
    class: &'static str,
    href: String,
    order: &'static str,
}

struct Shown {
    id: String,
    channel_id: i64,
    channel_name: String,
    phase: String,
    phase_name: String,
    since_ms: i64,
    lasted: String,
    viewers: String,
    wake_ms: Option<i64>,
    wakes_in: String,
    restarts: u32,
    last_error: Option<String>,
    may_stop: bool,
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = table(&request, &api).await;
    page_or(&console, &api, request.headers(), made)
}

async fn table(request: &HttpRequest, api: &Api) -> Result<Relays, Problem> {
    let wanted = Wanted::read(&Query::read(request.query_string(), &Wanted::NAMES)?);
    let (rows, total, page) = wanted.of(all_rows(api).await?);
    ask_for_viewers(api, &rows);
    let now = api.now();
    let first = (page - 1) * PAGE;
    let last = first + rows.len();
    Ok(Relays {
        frame: frame(api, "relays", request.headers()),
        failing: wanted.failing,
        sort: wanted.sort.into(),
        down: wanted.down,
        phases: phases(wanted.phase),
        columns: columns(&wanted),
        rows: rows.into_iter().map(|row| shown(row, now)).collect(),
        total,
        first: if total == 0 { 0 } else { first + 1 },
        last,
        previous: (page > 1).then(|| wanted.on_page(page - 1)),
        next: (last < total).then(|| wanted.on_page(page + 1)),
        words: wanted.words,
    })
}

/// All relays in work. A process that does not act knows them from the store.
pub(super) async fn all_rows(api: &Api) -> Result<Vec<Row>, StoreError> {
    if api.acts() {
        let all = api.service.all().await?;
        let row = |(relay, _): &(Arc<Snapshot>, String)| {
            Row::driven(relay, api.viewers.known(&relay.durable))
        };
        return Ok(all.iter().map(row).collect());
    }
    let unfinished = api.store.unfinished().await?;
    Ok(unfinished.iter().map(Row::stored).collect())
}

/// Finds out for the next poll how many watch what is on the page: nobody waits for it.
fn ask_for_viewers(api: &Api, rows: &[Row]) {
    for row in rows {
        if let Some(relay) = api.service.directory().get(row.id) {
            let _ = api.viewers.of(&relay.durable);
        }
    }
}

fn phases(chosen: Option<Phase>) -> Vec<(String, String, bool)> {
    let in_work = Phase::iter().filter(|phase| *phase != Phase::Ended);
    let option = |phase: Phase| {
        let name = phase.to_string();
        (name.clone(), say::plain(&name), chosen == Some(phase))
    };
    in_work.map(option).collect()
}

fn columns(wanted: &Wanted) -> Vec<Heading> {
    let all = [
        ("Channel", "", Sort::Channel),
        ("Phase", "", Sort::Phase),
        ("For", "number", Sort::Since),
        ("Viewers", "number wide", Sort::Viewers),
        ("Next wake", "number wide", Sort::Wake),
        ("Restarts", "number wide", Sort::Restarts),
    ];
    let heading = |(name, class, sort)| Heading {
        name,
        class,
        href: wanted.sorted_by(sort),
        order: match (wanted.sort == sort, wanted.down) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        },
    };
    all.map(heading).into()
}

fn shown(row: Row, now: DateTime<Utc>) -> Shown {
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| {
        u64::try_from((to - from).num_seconds()).unwrap_or(0)
    };
    let phase: Option<Phase> = row.phase.parse().ok();
    Shown {
        id: row.id.to_string(),
        channel_id: row.channel_id,
        channel_name: row.channel_name,
        phase_name: say::plain(&row.phase),
        may_stop: phase.is_some_and(Phase::holds_slot),
        phase: row.phase,
        since_ms: row.since.timestamp_millis(),
        lasted: say::lasting(seconds(row.since, now)),
        viewers: row.viewers.map_or_else(|| "–".into(), |n| n.to_string()),
        wake_ms: row.next_wake_at.map(|at| at.timestamp_millis()),
        wakes_in: row
            .next_wake_at
            .map_or_else(|| "–".into(), |at| say::lasting(seconds(now, at))),
        restarts: row.restarts,
        last_error: row.last_error,
    }
}
