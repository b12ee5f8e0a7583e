use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::input::Query;
use crate::api::openapi::requests::CostQuery;
use crate::api::problem::Problem;
use crate::store::{CostGroup, CostSum, GroupBy};

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CostPage {
    costs: Vec<CostSumView>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// The cost of a channel's or a day's relays.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostRow)]
pub(in crate::api) struct CostSumView {
    /// With `group_by=channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    channel_id: Option<i64>,
    /// With `group_by=day`: a UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    day: Option<String>,
    relays: i64,
    duration_seconds: i64,
    /// The platform's part in US cents, rounded up per relay.
    cost_cents: i64,
    /// The platform's part in millionths of a US dollar, exact.
    cost_micros: i64,
    /// Agora's part in millionths of a US dollar.
    agora_cost_micros: i64,
}

/// Get costs
///
/// Sums over the relays that ended between `from` and `to`.
#[utoipa::path(
    get, path = "/v1/costs", tag = "costs", operation_id = "getCosts",
    params(CostQuery),
    responses((status = 200, body = CostPage, description = "The sums.")),
)]
pub(in crate::api) async fn costs(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["from", "to", "group_by"])?;
    let from = query
        .get("from")
        .map(|text| moment("from", text, 0))
        .transpose()?;
    let to = query
        .get("to")
        .map(|text| moment("to", text, 1))
        .transpose()?;
    let group_by = match query.get("group_by") {
        None | Some("channel") => GroupBy::Channel,
        Some("day") => GroupBy::Day,
        Some(_) => return Err(Problem::parameter("group_by", "channel or day")),
    };
    let from = from.unwrap_or(DateTime::UNIX_EPOCH);
    let to = to.unwrap_or_else(|| api.now().max(from));
    if from > to {
        return Err(Problem::parameter("to", "is before from"));
    }
    let sums = api.store.costs(from, to, group_by).await?;
    Ok(HttpResponse::Ok().json(CostPage {
        costs: sums.iter().map(row).collect(),
        next_cursor: None,
    }))
}

/// An RFC 3339 time, or a date as the start of the day `days` later. A space counts as an unescaped `+`.
fn moment(name: &str, text: &str, days: u64) -> Result<DateTime<Utc>, Problem> {
    let wrong = || {
        Problem::parameter(
            name,
            "an RFC 3339 time or a date: 2026-11-22T08:30:00Z, 2026-11-22",
        )
    };
    if let Ok(date) = text.parse::<NaiveDate>() {
        let day = date.checked_add_days(Days::new(days)).ok_or_else(wrong)?;
        return in_supported_years(day.and_time(NaiveTime::MIN).and_utc()).ok_or_else(wrong);
    }
    let time = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).map_err(|_| wrong())?;
    in_supported_years(time.to_utc()).ok_or_else(wrong)
}

fn in_supported_years(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    use chrono::Datelike as _;
    (1..=9999).contains(&time.year()).then_some(time)
}

fn row(sum: &CostSum) -> CostSumView {
    let (channel_id, day) = match sum.group {
        CostGroup::Channel(id) => (Some(id), None),
        CostGroup::Day(day) => (None, Some(day.format("%Y-%m-%d").to_string())),
    };
    CostSumView {
        channel_id,
        day,
        relays: sum.relays,
        duration_seconds: sum.duration_seconds,
        cost_cents: sum.cost_cents,
        cost_micros: sum.cost_micros,
        agora_cost_micros: sum.agora_cost_micros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_whole_day_and_a_time_is_itself() {
        let text = |name, text, days| moment(name, text, days).unwrap().to_rfc3339();
        assert_eq!(text("from", "2026-11-22", 0), "2026-11-22T00:00:00+00:00");
        assert_eq!(text("to", "2026-11-22", 1), "2026-11-23T00:00:00+00:00");
        assert_eq!(
            text("to", "2026-11-22T01:00:00 02:00", 1),
            "2026-11-21T23:00:00+00:00"
        );
        for bad in [
            "yesterday",
            "2026-13-01",
            "2026-11-22T01:00:00",
            "+262142-12-31",
        ] {
            assert!(moment("from", bad, 0).is_err(), "{bad}");
        }
    }
}
