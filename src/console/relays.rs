use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use strum::IntoEnumIterator as _;

use super::relay_table::{PAGE_SIZE, SortColumn, TableQuery, TableRow};
use super::{Console, PageFrame, format, frame, page_or};
use crate::actors::RelaySnapshot;
use crate::api::Api;
use crate::api::input::Query;
use crate::api::problem::Problem;
use crate::relay::Phase;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "console/relays.html")]
struct RelaysPage {
    frame: PageFrame,
    search: String,
    failing: bool,
    sort: &'static str,
    descending: bool,
    phases: Vec<(String, String, bool)>,
    columns: Vec<ColumnHeading>,
    rows: Vec<RelayLine>,
    total: usize,
    first: usize,
    last: usize,
    previous: Option<String>,
    next: Option<String>,
}

struct ColumnHeading {
    name: &'static str,
    class: &'static str,
    href: String,
    order: &'static str,
}

struct RelayLine {
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

async fn table(request: &HttpRequest, api: &Api) -> Result<RelaysPage, Problem> {
    let query = TableQuery::read(&Query::read(request.query_string(), &TableQuery::NAMES)?);
    let (rows, total, page) = query.apply(active_relays(api).await?);
    ask_for_viewers(api, &rows);
    let now = api.now();
    let first = (page - 1) * PAGE_SIZE;
    let last = first + rows.len();
    Ok(RelaysPage {
        frame: frame(api, "relays", request.headers()),
        failing: query.failing,
        sort: query.sort.into(),
        descending: query.descending,
        phases: phases(query.phase),
        columns: columns(&query),
        rows: rows.into_iter().map(|row| relay_line(row, now)).collect(),
        total,
        first: if total == 0 { 0 } else { first + 1 },
        last,
        previous: (page > 1).then(|| query.on_page(page - 1)),
        next: (last < total).then(|| query.on_page(page + 1)),
        search: query.search,
    })
}

/// A standby node reads them from the store.
pub(super) async fn active_relays(api: &Api) -> Result<Vec<TableRow>, StoreError> {
    if api.drives_relays() {
        let all = api.service.all().await?;
        let row = |(relay, _): &(Arc<RelaySnapshot>, String)| {
            TableRow::driven(relay, api.viewers.known(&relay.durable))
        };
        return Ok(all.iter().map(row).collect());
    }
    let unfinished = api.store.unfinished().await?;
    Ok(unfinished.iter().map(TableRow::stored).collect())
}

/// Fetches viewer counts for the next refresh.
fn ask_for_viewers(api: &Api, rows: &[TableRow]) {
    for row in rows {
        if let Some(relay) = api.service.directory().get(row.id) {
            let _ = api.viewers.of(&relay.durable);
        }
    }
}

fn phases(chosen: Option<Phase>) -> Vec<(String, String, bool)> {
    let active = Phase::iter().filter(|phase| *phase != Phase::Ended);
    let option = |phase: Phase| {
        let name = phase.to_string();
        (name.clone(), format::readable(&name), chosen == Some(phase))
    };
    active.map(option).collect()
}

fn columns(query: &TableQuery) -> Vec<ColumnHeading> {
    let all = [
        ("Channel", "", SortColumn::Channel),
        ("Phase", "", SortColumn::Phase),
        ("In phase", "number", SortColumn::Since),
        ("Viewers", "number wide", SortColumn::Viewers),
        ("Next wake", "number wide", SortColumn::Wake),
        ("Restarts", "number wide", SortColumn::Restarts),
    ];
    let heading = |(name, class, sort)| ColumnHeading {
        name,
        class,
        href: query.sorted_by(sort),
        order: match (query.sort == sort, query.descending) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        },
    };
    all.map(heading).into()
}

fn relay_line(row: TableRow, now: DateTime<Utc>) -> RelayLine {
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| {
        u64::try_from((to - from).num_seconds()).unwrap_or(0)
    };
    let phase = row.phase.known();
    RelayLine {
        id: row.id.to_string(),
        channel_id: row.channel_id,
        channel_name: row.channel_name,
        phase_name: format::readable(&row.phase),
        may_stop: phase.is_some_and(Phase::holds_slot),
        phase: row.phase.to_string(),
        since_ms: row.since.timestamp_millis(),
        lasted: format::duration(seconds(row.since, now)),
        viewers: row.viewers.map_or_else(|| "–".into(), |n| n.to_string()),
        wake_ms: row.next_wake_at.map(|at| at.timestamp_millis()),
        wakes_in: row
            .next_wake_at
            .map_or_else(|| "–".into(), |at| format::duration(seconds(now, at))),
        restarts: row.restarts,
        last_error: row.last_error,
    }
}
