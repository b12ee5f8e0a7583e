//! `/livez`, `/readyz` and `/v1/health`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Code, Problem};
use super::routes::Routes;
use super::vendor_watch::{VendorState, VendorWatch};
use crate::actors::Readiness;
use crate::actors::view::WireTime;
use crate::store::{AlarmRow, CleanupCount, StoreError};
use crate::vendors::governor::BudgetSnapshot;

const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The sources of `/v1/health`.
#[derive(Clone)]
pub struct Health {
    /// The state of each platform that is on, by name.
    pub platforms: BTreeMap<&'static str, VendorWatch>,
    /// The state of Agora's API.
    pub agora: VendorWatch,
    /// The vendors' rate budgets.
    pub budgets: Arc<dyn Fn() -> Vec<BudgetSnapshot> + Send + Sync>,
    /// The codes of all alarms.
    pub alarm_codes: Vec<&'static str>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

pub(super) fn probes(routes: &mut Routes<'_>) {
    routes.reads("/livez", livez).reads("/readyz", readyz);
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Probe)]
pub(super) struct ProbeAnswer {
    status: &'static str,
}

/// Liveness probe
#[utoipa::path(
    get, path = "/livez", tag = "probes", operation_id = "livez",
    responses((status = 200, body = ProbeAnswer, description = "The process runs.")),
)]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(ProbeAnswer { status: "ok" })
}

/// Readiness probe
///
/// 503 while the service starts, waits for another process's lease on the database, cannot write to the database, or
/// shuts down.
#[utoipa::path(
    get, path = "/readyz", tag = "probes", operation_id = "readyz",
    responses((status = 200, body = ProbeAnswer, description = "The service accepts starts and stops.")),
    extensions(("x-problems" = json!(["starting", "shutting-down", "database"]))),
)]
pub(super) async fn readyz(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let readiness = api.service.readiness();
    if api.is_draining() || readiness == Readiness::Draining {
        return Err(Problem::new(
            Code::ShuttingDown,
            "This process starts no new relays.",
        ));
    }
    if readiness == Readiness::Starting {
        let reason = api.service.reason();
        return Err(Problem::new(
            Code::Starting,
            reason.unwrap_or_else(|| "Relays are being loaded.".to_owned()),
        ));
    }
    if !api.service.lease_holds() {
        return Err(Problem::new(
            Code::Database,
            "The lease on this process's relays was not renewed. No vendor is called until it is.",
        ));
    }
    if !api.service.is_ready() {
        return Err(Problem::new(
            Code::Database,
            "The last write to the database failed.",
        ));
    }
    api.database_answers().await?;
    Ok(HttpResponse::Ok().json(ProbeAnswer { status: "ready" }))
}

/// Get the service's health
///
/// Derived from the last real calls; a vendor without a success within the last minute is probed. Always answers 200: read
/// `healthy`.
#[utoipa::path(
    get, path = "/v1/health", tag = "health", operation_id = "getHealth",
    responses((status = 200, body = HealthReport, description = "The state, healthy or not.")),
)]
pub(super) async fn health(api: web::Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(api.health_report().await)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthReport {
    /// Whether all vendors and the database are healthy.
    pub(crate) healthy: bool,
    /// Each platform that is on, by name.
    pub(crate) platforms: BTreeMap<&'static str, VendorState>,
    /// The same, each under its name.
    #[serde(flatten)]
    by_name: BTreeMap<&'static str, VendorState>,
    pub(crate) agora: VendorState,
    pub(crate) database: DatabaseState,
    pub(crate) budgets: Vec<BudgetView>,
    /// Null if the database does not answer.
    pub(crate) cleanup_jobs: Option<CleanupJobs>,
    /// Null if the database does not answer.
    pub(crate) alarms: Option<Vec<AlarmView>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseState {
    /// Whether it answers reads and takes writes.
    pub(crate) healthy: bool,
    /// Whether this process drives relays.
    pub(crate) acting: bool,
}

/// What is left of a vendor's rate limit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    pub(crate) name: &'static str,
    /// The most calls per window.
    pub(crate) quota: u32,
    pub(crate) used: u32,
    pub(crate) left: u32,
    /// Calls waiting for a permit.
    pub(crate) waiting: usize,
    /// Seconds until calls resume; null unless the vendor paused them.
    pub(crate) paused_for_seconds: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CleanupJobs {
    pub(crate) open: i64,
    pub(crate) kinds: Vec<CleanupKindView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CleanupKind)]
pub(crate) struct CleanupKindView {
    pub(crate) kind: String,
    pub(crate) open: i64,
    pub(crate) oldest_at: WireTime,
}

/// A condition that needs an operator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub(crate) struct AlarmView {
    pub(crate) code: String,
    /// What it is about: the id or name of a relay, a node, a vendor or its object, a rate budget or a kind of cleanup job, or empty.
    pub(crate) subject: String,
    /// The node that reports it; null if it concerns all nodes.
    pub(crate) node: Option<String>,
    pub(crate) detail: String,
    pub(crate) since: WireTime,
    pub(crate) last_seen_at: WireTime,
}

async fn within<T>(read: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    timeout(DATABASE_TIMEOUT, read).await.ok()?.ok()
}

fn budget(budget: &BudgetSnapshot) -> BudgetView {
    BudgetView {
        name: budget.name,
        quota: budget.quota,
        used: budget.used,
        left: budget.left,
        waiting: budget.waiting,
        paused_for_seconds: budget
            .paused_for
            .map(|pause| u64::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)),
    }
}

fn cleanup_jobs(counts: &[CleanupCount]) -> CleanupJobs {
    let kind = |count: &CleanupCount| CleanupKindView {
        kind: count.kind.to_string(),
        open: count.open,
        oldest_at: WireTime(count.oldest),
    };
    CleanupJobs {
        open: counts.iter().map(|count| count.open).sum(),
        kinds: counts.iter().map(kind).collect(),
    }
}

fn alarm(alarm: &AlarmRow) -> AlarmView {
    AlarmView {
        code: alarm.code.clone(),
        subject: alarm.subject.clone(),
        node: (!alarm.node.is_empty()).then(|| alarm.node.clone()),
        detail: alarm.detail.clone(),
        since: WireTime(alarm.since),
        last_seen_at: WireTime(alarm.last_seen_at),
    }
}

impl Api {
    pub(crate) async fn health_report(&self) -> HealthReport {
        let now = self.now();
        let platforms = self.health.platforms.iter();
        let platforms = platforms.map(async |(name, watch)| (*name, watch.state(now).await));
        let (platforms, agora, database, counts, alarms) = futures_util::join!(
            join_all(platforms),
            self.health.agora.state(now),
            self.database_answers(),
            within(self.store.cleanup_job_counts()),
            within(self.store.alarms()),
        );
        let database = database.is_ok() && counts.is_some() && alarms.is_some();
        let platforms: BTreeMap<_, _> = platforms.into_iter().collect();
        let vendors = platforms.values().chain([&agora]);
        HealthReport {
            healthy: vendors.into_iter().all(|vendor| vendor.healthy) && database,
            by_name: platforms.clone(),
            platforms,
            agora,
            database: DatabaseState {
                healthy: database,
                acting: self.drives_relays(),
            },
            budgets: (self.health.budgets)().iter().map(budget).collect(),
            cleanup_jobs: counts.as_deref().map(cleanup_jobs),
            alarms: alarms.map(|alarms| alarms.iter().map(alarm).collect()),
        }
    }

    pub(super) async fn database_answers(&self) -> Result<(), Problem> {
        // A database may be readable and take no writes.
        if !self.service.database_answers() {
            return Err(Problem::new(
                Code::Database,
                "The database does not accept writes.",
            ));
        }
        match timeout(DATABASE_TIMEOUT, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Problem::new(
                Code::Database,
                "The database does not answer in time.",
            )),
        }
    }
}
