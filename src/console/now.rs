use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use strum::IntoEnumIterator as _;

use super::relay_table::TableRow;
use super::relays::active_relays;
use super::{Console, PageFrame, format, frame, page_or};
use crate::api::Api;
use crate::api::health::{self, HealthReport};
use crate::api::problem::Problem;
use crate::api::vendor_watch::VendorState;
use crate::relay::Phase;

#[derive(Template)]
#[template(path = "console/now.html")]
struct NowPage {
    frame: PageFrame,
    phases: Vec<PhaseTile>,
    total: usize,
    troubled: usize,
    vendors: Vec<VendorCard>,
    budgets: Vec<BudgetGauge>,
    alarms: Option<Vec<AlarmLine>>,
    cleanup_jobs: Option<Vec<CleanupJobLine>>,
    database: bool,
    healthy: bool,
}

struct PhaseTile {
    phase: String,
    name: String,
    count: usize,
}

struct VendorCard {
    name: String,
    state: &'static str,
    word: &'static str,
    credentials: &'static str,
    last_success: Option<String>,
    last_error: Option<(String, String)>,
}

struct BudgetGauge {
    name: String,
    quota: u32,
    used: u32,
    left: u32,
    low: u32,
    high: u32,
    state: &'static str,
    word: String,
}

struct AlarmLine {
    name: String,
    subject: String,
    detail: String,
    since: String,
}

struct CleanupJobLine {
    name: String,
    open: i64,
    since: String,
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = now(&api, frame(&api, "now", request.headers())).await;
    page_or(&console, &api, request.headers(), made)
}

async fn now(api: &Api, frame: PageFrame) -> Result<NowPage, Problem> {
    let (report, rows) = futures_util::join!(api.health_report(), active_relays(api));
    // The rest of the page is useful without a database.
    let rows = rows.unwrap_or_default();
    let troubled = |row: &&TableRow| row.last_error.is_some() || row.restarts > 0;
    Ok(NowPage {
        frame,
        phases: counts(&rows),
        total: rows.len(),
        troubled: rows.iter().filter(troubled).count(),
        healthy: report.healthy,
        database: report.database.healthy,
        budgets: report.budgets.iter().map(budget).collect(),
        alarms: alarms(&report),
        cleanup_jobs: cleanup_jobs(&report),
        vendors: report
            .platforms
            .into_iter()
            .chain([("agora", report.agora)])
            .map(|(name, state)| vendor(name, state))
            .collect(),
    })
}

fn counts(rows: &[TableRow]) -> Vec<PhaseTile> {
    let count = |phase: Phase| PhaseTile {
        name: format::readable(phase.into()),
        count: rows.iter().filter(|row| row.phase == phase).count(),
        phase: phase.to_string(),
    };
    let active = Phase::iter().filter(|phase| *phase != Phase::Ended);
    active.map(count).collect()
}

fn vendor(name: &'static str, state: VendorState) -> VendorCard {
    let (class, word) = match (state.healthy, state.reachable) {
        (true, _) => ("good", "healthy"),
        (false, Some(false)) => ("bad", "unreachable"),
        (false, Some(true)) => ("bad", "credentials rejected"),
        (false, None) => ("unsure", "unknown"),
    };
    VendorCard {
        name: format::capitalized(name),
        state: class,
        word,
        credentials: state.credentials,
        last_success: state.last_success_at.map(|at| format::timestamp(at.0)),
        last_error: state
            .last_error
            .map(|error| (format::timestamp(error.at.0), error.message)),
    }
}

/// The state changes above 60 % and 80 %: the last fifth is reserved for stops.
fn budget(budget: &health::BudgetView) -> BudgetGauge {
    let part = |percent: u64| {
        u32::try_from(u64::from(budget.quota) * percent / 100).unwrap_or(budget.quota)
    };
    let (low, high) = (part(60), part(80));
    let waiting = match budget.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} waiting"),
    };
    let (state, word) = match budget.paused_for_seconds {
        Some(pause) => ("bad", format!("blocked for {}", format::duration(pause))),
        None if budget.used > high => ("bad", "nearly exhausted".to_owned()),
        None if budget.used > low => ("unsure", "low".to_owned()),
        None => ("good", "sufficient".to_owned()),
    };
    BudgetGauge {
        name: format::readable(budget.name),
        quota: budget.quota,
        used: budget.used,
        left: budget.left,
        low,
        high,
        state,
        word: word + &waiting,
    }
}

fn alarms(report: &HealthReport) -> Option<Vec<AlarmLine>> {
    let alarms = report.alarms.as_ref()?.iter().map(|alarm| AlarmLine {
        name: format::readable(&alarm.code),
        subject: alarm.subject.clone(),
        detail: alarm.detail.clone(),
        since: format::timestamp(alarm.since.0),
    });
    Some(alarms.collect())
}

fn cleanup_jobs(report: &HealthReport) -> Option<Vec<CleanupJobLine>> {
    let cleanup_jobs = report
        .cleanup_jobs
        .as_ref()?
        .kinds
        .iter()
        .map(|cleanup_job| CleanupJobLine {
            name: format::readable(&cleanup_job.kind),
            open: cleanup_job.open,
            since: format::timestamp(cleanup_job.oldest_at.0),
        });
    Some(cleanup_jobs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(used: u32, paused: Option<u64>) -> &'static str {
        let snapshot = health::BudgetView {
            name: "platform",
            quota: 960,
            used,
            left: 960 - used,
            waiting: 0,
            paused_for_seconds: paused,
        };
        budget(&snapshot).state
    }

    #[test]
    fn a_gauge_changes_its_state_above_60_and_80_percent() {
        let states = [(576, None), (577, None), (769, None), (0, Some(9))];
        let states = states.map(|(used, paused)| state(used, paused));
        assert_eq!(states, ["good", "unsure", "bad", "bad"]);
    }
}
