//! What became of relays, how long they took to be live, and what they cost.

mod sums;

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Days, NaiveTime, Utc};

use super::plot::{Bars, Heap, Lines, Percent, bars, lines};
use super::{Console, Frame, frame, page_or, say};
use crate::api::Api;
use crate::api::input::Query;
use crate::api::problem::Problem;
use crate::store::{CostGroup, CostSum, GroupBy};
use sums::{Day, days};

/// The most relays that are looked at.
const MOST: u64 = 200_000;
/// How many days can be looked back.
const RANGES: [u64; 4] = [7, 14, 30, 90];
/// How many channels are plotted: the dearest.
const CHANNELS: usize = 12;

#[derive(Template)]
#[template(path = "console/history.html")]
struct History {
    frame: Frame,
    range: u64,
    ranges: [u64; 4],
    days: Vec<DayRow>,
    outcomes: Bars,
    times: Lines,
    costs: Bars,
    channels: Vec<Channel>,
    more_channels: usize,
    total: String,
    relays: usize,
    /// Whether there were more relays than are looked at.
    cut: bool,
}

struct DayRow {
    day: String,
    well: u64,
    failed: u64,
    running: u64,
    reasons: String,
    median: String,
    p95: String,
    cloudflare: String,
    agora: String,
}

struct Channel {
    id: i64,
    relays: i64,
    width: Percent,
    cost: String,
}

/// What the store said of these days.
struct Past {
    range: u64,
    days: Vec<Day>,
    channels: Vec<CostSum>,
    relays: usize,
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = past(&request, &api).await;
    let made = made.map(|past| history(past, frame(&api, "history", request.headers())));
    page_or(&console, &api, request.headers(), made)
}

/// A row a day.
pub(super) async fn days_csv(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let past = past(&request, &api).await?;
    Ok(csv("relaykeeper-days.csv", sums::days_csv(&past.days)))
}

/// A row a channel.
pub(super) async fn channels_csv(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let past = past(&request, &api).await?;
    Ok(csv(
        "relaykeeper-channels.csv",
        sums::channels_csv(&past.channels),
    ))
}

fn csv(name: &str, text: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ))
        .body(text)
}

async fn past(request: &HttpRequest, api: &Api) -> Result<Past, Problem> {
    let query = Query::read(request.query_string(), &["days"])?;
    let range = query.get("days").and_then(|days| days.parse().ok());
    let range = range.filter(|days| RANGES.contains(days)).unwrap_or(14);
    let today = api.now().date_naive();
    let midnight =
        |date: chrono::NaiveDate| -> DateTime<Utc> { date.and_time(NaiveTime::MIN).and_utc() };
    let first = today
        .checked_sub_days(Days::new(range - 1))
        .unwrap_or(today);
    let end = today.checked_add_days(Days::new(1)).unwrap_or(today);
    let (from, to) = (midnight(first), midnight(end));
    let (lives, costs, channels) = futures_util::try_join!(
        api.store.lives(from, to, MOST),
        api.store.costs(from, to, GroupBy::Day),
        api.store.costs(from, to, GroupBy::Channel),
    )?;
    Ok(Past {
        range,
        relays: lives.len(),
        days: days(first, today, &lives, &costs),
        channels,
    })
}

fn history(past: Past, frame: Frame) -> History {
    let labels: Vec<String> = past.days.iter().map(Day::label).collect();
    let times = |pick: fn(&Day) -> Option<u64>| past.days.iter().map(pick).collect();
    let total: u64 = past.days.iter().map(|day| day.cloudflare + day.agora).sum();
    let (channels, more_channels) = channels(past.channels);
    History {
        frame,
        range: past.range,
        ranges: RANGES,
        outcomes: bars(past.days.iter().map(outcomes).collect(), |n| n.to_string()),
        times: lines(
            &labels,
            &[
                ("median", "median", times(Day::median)),
                ("p95", "95th percentile", times(Day::p95)),
            ],
            say::short,
        ),
        costs: bars(past.days.iter().map(costs).collect(), say::dollars),
        days: past
            .days
            .iter()
            .rev()
            .filter(|day| !day.is_empty())
            .map(row)
            .collect(),
        channels,
        more_channels,
        total: say::dollars(total),
        relays: past.relays,
        cut: u64::try_from(past.relays).unwrap_or(u64::MAX) >= MOST,
    }
}

fn outcomes(day: &Day) -> Heap {
    let say = |count: u64, what| format!("{}: {count} {what}", day.label());
    Heap {
        label: day.label(),
        parts: vec![
            ("well", say(day.well, "ended well"), day.well),
            ("failed", say(day.failed, "failed"), day.failed),
            ("running", say(day.running, "running"), day.running),
        ],
    }
}

fn costs(day: &Day) -> Heap {
    let say = |what, micros| format!("{}: {what} {}", day.label(), say::dollars(micros));
    Heap {
        label: day.label(),
        parts: vec![
            (
                "cloudflare",
                say("Cloudflare", day.cloudflare),
                day.cloudflare,
            ),
            ("agora", say("Agora", day.agora), day.agora),
        ],
    }
}

fn row(day: &Day) -> DayRow {
    let time = |time: Option<u64>| time.map_or_else(|| "–".to_owned(), say::short);
    let reasons = day.reasons.iter();
    let reasons = reasons.map(|(code, count)| format!("{count} {}", say::plain(code)));
    DayRow {
        day: day.date.to_string(),
        well: day.well,
        failed: day.failed,
        running: day.running,
        reasons: reasons.collect::<Vec<_>>().join(", "),
        median: time(day.median()),
        p95: time(day.p95()),
        cloudflare: say::dollars(day.cloudflare),
        agora: say::dollars(day.agora),
    }
}

/// The dearest channels, and how many more there are.
fn channels(mut sums: Vec<CostSum>) -> (Vec<Channel>, usize) {
    sums.sort_by_key(|sum| std::cmp::Reverse(sums::whole(sum)));
    let top = sums.first().map(sums::whole).unwrap_or_default();
    let more = sums.len().saturating_sub(CHANNELS);
    let channel = |sum: &CostSum| match sum.group {
        CostGroup::Channel(id) => Some(Channel {
            id,
            relays: sum.relays,
            width: Percent::of(sums::whole(sum), top),
            cost: say::dollars(sums::whole(sum)),
        }),
        CostGroup::Day(_) => None,
    };
    (
        sums.iter().take(CHANNELS).filter_map(channel).collect(),
        more,
    )
}
