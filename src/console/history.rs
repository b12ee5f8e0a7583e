//! The history page: outcomes, time to live and cost.

mod daily_totals;

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Days, NaiveTime, Utc};

use super::chart::{BarChart, BarStack, LineChart, Percent, bar_chart, line_chart};
use super::{Console, PageFrame, format, frame, page_or};
use crate::api::Api;
use crate::api::input::Query;
use crate::api::problem::Problem;
use crate::store::{CostGroup, CostSum, GroupBy};
use daily_totals::{DayTotals, daily_totals};

const MAX_RELAYS: u64 = 200_000;
const RANGE_DAYS: [u64; 4] = [7, 14, 30, 90];
const MAX_CHANNELS: usize = 12;

#[derive(Template)]
#[template(path = "console/history.html")]
struct HistoryPage {
    frame: PageFrame,
    range: u64,
    ranges: [u64; 4],
    days: Vec<DayLine>,
    outcomes: BarChart,
    times: LineChart,
    costs: BarChart,
    channels: Vec<ChannelCostLine>,
    more_channels: usize,
    total: String,
    relays: usize,
    /// Whether there are more relays than were read.
    cut: bool,
}

struct DayLine {
    day: String,
    ended_well: u64,
    failed: u64,
    running: u64,
    reasons: String,
    median: String,
    p95: String,
    platform: String,
    agora: String,
}

struct ChannelCostLine {
    id: i64,
    relays: i64,
    width: Percent,
    cost: String,
}

struct HistoryData {
    range: u64,
    days: Vec<DayTotals>,
    channels: Vec<CostSum>,
    relays: usize,
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = data(&request, &api).await;
    let made = made.map(|data| history(data, frame(&api, "history", request.headers())));
    page_or(&console, &api, request.headers(), made)
}

pub(super) async fn days_csv(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let data = data(&request, &api).await?;
    Ok(csv(
        "relaykeeper-days.csv",
        daily_totals::days_csv(&data.days),
    ))
}

pub(super) async fn channels_csv(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let data = data(&request, &api).await?;
    Ok(csv(
        "relaykeeper-channels.csv",
        daily_totals::channels_csv(&data.channels),
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

async fn data(request: &HttpRequest, api: &Api) -> Result<HistoryData, Problem> {
    let query = Query::read(request.query_string(), &["days"])?;
    let range = query.get("days").and_then(|days| days.parse().ok());
    let range = range.filter(|days| RANGE_DAYS.contains(days)).unwrap_or(14);
    let today = api.now().date_naive();
    let midnight =
        |date: chrono::NaiveDate| -> DateTime<Utc> { date.and_time(NaiveTime::MIN).and_utc() };
    let first = today
        .checked_sub_days(Days::new(range - 1))
        .unwrap_or(today);
    let end = today.checked_add_days(Days::new(1)).unwrap_or(today);
    let (from, to) = (midnight(first), midnight(end));
    let (lives, costs, channels) = futures_util::try_join!(
        api.store.past_relays(from, to, MAX_RELAYS),
        api.store.costs(from, to, GroupBy::Day),
        api.store.costs(from, to, GroupBy::Channel),
    )?;
    Ok(HistoryData {
        range,
        relays: lives.len(),
        days: daily_totals(first, today, &lives, &costs),
        channels,
    })
}

fn history(data: HistoryData, frame: PageFrame) -> HistoryPage {
    let labels: Vec<String> = data.days.iter().map(DayTotals::label).collect();
    let times = |pick: fn(&DayTotals) -> Option<u64>| data.days.iter().map(pick).collect();
    let total: u64 = data.days.iter().map(|day| day.platform + day.agora).sum();
    let (channels, more_channels) = channels(data.channels);
    HistoryPage {
        frame,
        range: data.range,
        ranges: RANGE_DAYS,
        outcomes: bar_chart(data.days.iter().map(outcomes).collect(), |n| n.to_string()),
        times: line_chart(
            &labels,
            &[
                ("median", "median", times(DayTotals::median)),
                ("p95", "95th percentile", times(DayTotals::p95)),
            ],
            format::short_duration,
        ),
        costs: bar_chart(data.days.iter().map(costs).collect(), format::dollars),
        days: data
            .days
            .iter()
            .rev()
            .filter(|day| !day.is_empty())
            .map(day_line)
            .collect(),
        channels,
        more_channels,
        total: format::dollars(total),
        relays: data.relays,
        cut: u64::try_from(data.relays).unwrap_or(u64::MAX) >= MAX_RELAYS,
    }
}

fn outcomes(day: &DayTotals) -> BarStack {
    let say = |count: u64, what| format!("{}: {count} {what}", day.label());
    BarStack {
        label: day.label(),
        parts: vec![
            ("well", say(day.ended_well, "succeeded"), day.ended_well),
            ("failed", say(day.failed, "failed"), day.failed),
            ("running", say(day.running, "running"), day.running),
        ],
    }
}

fn costs(day: &DayTotals) -> BarStack {
    let say = |what, micros| format!("{}: {what} {}", day.label(), format::dollars(micros));
    BarStack {
        label: day.label(),
        parts: vec![
            ("platform", say("Platform", day.platform), day.platform),
            ("agora", say("Agora", day.agora), day.agora),
        ],
    }
}

fn day_line(day: &DayTotals) -> DayLine {
    let time = |time: Option<u64>| time.map_or_else(|| "–".to_owned(), format::short_duration);
    let reasons = day.reasons.iter();
    let reasons = reasons.map(|(code, count)| format!("{count} {}", format::readable(code)));
    DayLine {
        day: day.date.to_string(),
        ended_well: day.ended_well,
        failed: day.failed,
        running: day.running,
        reasons: reasons.collect::<Vec<_>>().join(", "),
        median: time(day.median()),
        p95: time(day.p95()),
        platform: format::dollars(day.platform),
        agora: format::dollars(day.agora),
    }
}

/// The channels with the highest cost, and the number of the others.
fn channels(mut sums: Vec<CostSum>) -> (Vec<ChannelCostLine>, usize) {
    sums.sort_by_key(|sum| std::cmp::Reverse(daily_totals::total_cost(sum)));
    let top = sums
        .first()
        .map(daily_totals::total_cost)
        .unwrap_or_default();
    let more = sums.len().saturating_sub(MAX_CHANNELS);
    let channel = |sum: &CostSum| match sum.group {
        CostGroup::Channel(id) => Some(ChannelCostLine {
            id,
            relays: sum.relays,
            width: Percent::of(daily_totals::total_cost(sum), top),
            cost: format::dollars(daily_totals::total_cost(sum)),
        }),
        CostGroup::Day(_) => None,
    };
    (
        sums.iter().take(MAX_CHANNELS).filter_map(channel).collect(),
        more,
    )
}
