use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use strum::{IntoEnumIterator as _, VariantNames as _};
use tokio::time::timeout;

use super::Api;
use crate::actors::{DELIVERY_RESULTS, FindingKind};
use crate::relay::{CleanupKind, Ignored, OutcomeCode, Phase, TRANSITIONS};
use crate::store::{AlarmRow, CleanupCount};
use crate::telemetry::metrics::{self, Metric};
use crate::vendors::governor::Priority;

const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Prometheus metrics
///
/// docs/metrics.md lists them. No token is needed from the same machine, unless a proxy forwards the request.
#[utoipa::path(
    get, path = "/metrics", tag = "probes", operation_id = "metrics",
    security((), ("admin_token" = [])),
    responses((status = 200, body = String, content_type = "text/plain", description = "Prometheus' text format.")),
    extensions(("x-problems" = json!(["unauthorized", "forbidden"]))),
)]
pub(super) async fn metrics(api: web::Data<Api>) -> HttpResponse {
    let stored = timeout(DATABASE_TIMEOUT, async {
        let (store, all) = (&api.store, api.store.kept_ingest_count());
        tokio::try_join!(store.cleanup_job_counts(), store.alarms(), all).ok()
    });
    let stored = stored.await.ok().flatten();
    let text = metrics::render(|| {
        initialize_counters(&api);
        set_relays(&api);
        set_budgets(&api);
        metrics::LISTENERS.set(f64::from(api.event_stream.listeners()), []);
        let up = stored.is_some() && api.service.database_answers();
        metrics::DATABASE_UP.set(bit(up), []);
        let ready = api.service.is_ready() && !api.is_draining();
        metrics::READY.set(bit(ready), []);
        if let Some((cleanup_jobs, alarms, kept_ingests)) = &stored {
            let kept_ingests = u32::try_from(*kept_ingests).unwrap_or(u32::MAX);
            metrics::KEPT_INGESTS.set(f64::from(kept_ingests), []);
            set_cleanup_jobs(cleanup_jobs, api.now());
            set_alarms(&api, alarms);
        }
    });
    HttpResponse::Ok().content_type(TEXT).body(text)
}

/// A counter that begins at 1 has no rate for its first increment.
fn initialize_counters(api: &Api) {
    for (from, _, to) in TRANSITIONS {
        metrics::TRANSITIONS.add(0, [&from.to_string(), &to.to_string()]);
    }
    for outcome in OutcomeCode::iter() {
        metrics::OUTCOMES.add(0, [&outcome.to_string()]);
    }
    for reason in Ignored::VARIANTS {
        metrics::EVENTS_IGNORED.add(0, [reason]);
    }
    for kind in CleanupKind::VARIANTS {
        metrics::CLEANUP_JOBS_SETTLED.add(0, [kind]);
    }
    for kind in FindingKind::VARIANTS {
        metrics::ORPHANS_FOUND.add(0, [kind]);
        metrics::ORPHANS_REMOVED.add(0, [kind]);
    }
    for result in DELIVERY_RESULTS {
        metrics::DELIVERIES.add(0, [result]);
    }
    for result in ["done", "failed"] {
        metrics::JANITOR_PASSES.add(0, [result]);
    }
    for budget in (api.health.budgets)() {
        for priority in Priority::iter() {
            metrics::GOVERNOR_DENIED.add(0, [budget.name, &priority.to_string()]);
        }
    }
}

fn set_relays(api: &Api) {
    let active = api.service.directory().all();
    let phases = tally(active.iter().map(|relay| relay.durable.phase));
    for phase in Phase::iter().filter(|phase| *phase != Phase::Ended) {
        let relays = phases.get(&phase).copied().unwrap_or(0);
        metrics::RELAYS.set(f64::from(relays), [&phase.to_string()]);
    }
}

fn set_budgets(api: &Api) {
    for budget in (api.health.budgets)() {
        let waiting = u32::try_from(budget.waiting).unwrap_or(u32::MAX);
        let paused = budget.paused_for.unwrap_or_default().as_secs_f64();
        metrics::GOVERNOR_QUOTA.set(f64::from(budget.quota), [budget.name]);
        metrics::GOVERNOR_LEFT.set(f64::from(budget.left), [budget.name]);
        metrics::GOVERNOR_WAITING.set(f64::from(waiting), [budget.name]);
        metrics::GOVERNOR_PAUSED.set(paused, [budget.name]);
    }
}

fn set_cleanup_jobs(cleanup_jobs: &[CleanupCount], now: DateTime<Utc>) {
    let open = cleanup_jobs.iter().map(|cleanup_job| {
        let open = u32::try_from(cleanup_job.open).unwrap_or(u32::MAX);
        (cleanup_job.kind.as_str(), open)
    });
    set_all(
        &metrics::CLEANUP_JOBS,
        CleanupKind::VARIANTS,
        &open.collect(),
    );
    let ages = cleanup_jobs
        .iter()
        .map(|cleanup_job| now - cleanup_job.oldest);
    let oldest = ages.max().unwrap_or_default();
    let seconds = oldest.to_std().unwrap_or_default().as_secs_f64();
    metrics::OLDEST_CLEANUP_JOB.set(seconds, []);
}

fn set_alarms(api: &Api, alarms: &[AlarmRow]) {
    let codes = tally(alarms.iter().map(|alarm| alarm.code.as_str()));
    set_all(&metrics::ALARMS, &api.health.alarm_codes, &codes);
}

fn set_all(metric: &Metric, values: &[&str], counts: &HashMap<&str, u32>) {
    for value in values {
        let count = counts.get(value).copied().unwrap_or(0);
        metric.set(f64::from(count), [value]);
    }
}

fn tally<T: Eq + Hash>(things: impl Iterator<Item = T>) -> HashMap<T, u32> {
    let mut counts = HashMap::new();
    for thing in things {
        *counts.entry(thing).or_insert(0) += 1;
    }
    counts
}

fn bit(is: bool) -> f64 {
    f64::from(u8::from(is))
}
