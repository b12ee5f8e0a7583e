//! Is it up, is it ready, are the vendors well: `/livez`, `/readyz`, `/v1/health`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
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

/// How long the database may take to answer a probe.
const DATABASE_PATIENCE: Duration = Duration::from_secs(2);

/// What `/v1/health` needs to know of what is outside.
#[derive(Clone)]
pub struct Health {
    /// Cloudflare's API.
    pub cloudflare: VendorWatch,
    /// Agora's.
    pub agora: VendorWatch,
    /// The vendors' budgets.
    pub budgets: Arc<dyn Fn() -> Vec<BudgetSnapshot> + Send + Sync>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

/// The platform's probes.
pub(super) fn probes(routes: &mut Routes<'_>) {
    routes.reads("/livez", livez).reads("/readyz", readyz);
}

/// A probe's answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Probe {
    /// `ok`, `ready`.
    status: &'static str,
}

/// Is the process up
#[utoipa::path(
    get, path = "/livez", tag = "probes", operation_id = "livez",
    responses((status = 200, body = Probe, description = "It is.")),
)]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Probe { status: "ok" })
}

/// Does the service take starts and stops
///
/// Not while it starts, waits for another process's hold on the database, has no database, or goes down.
#[utoipa::path(
    get, path = "/readyz", tag = "probes", operation_id = "readyz",
    responses((status = 200, body = Probe, description = "It does.")),
    extensions(("x-problems" = json!(["starting", "shutting-down", "database"]))),
)]
pub(super) async fn readyz(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let readiness = api.service.readiness();
    if api.is_draining() || readiness == Readiness::Draining {
        return Err(Problem::new(
            Code::ShuttingDown,
            "No new relay is started here.",
        ));
    }
    if readiness == Readiness::Starting {
        let reason = api.service.reason();
        return Err(Problem::new(
            Code::Starting,
            reason.unwrap_or_else(|| "Unfinished relays are being loaded.".to_owned()),
        ));
    }
    if !api.service.lease_holds() {
        return Err(Problem::new(
            Code::Database,
            "This process's lease on its relays was not renewed: it calls no vendor until it is.",
        ));
    }
    if !api.service.is_ready() {
        return Err(Problem::new(
            Code::Database,
            "The last write did not reach the database.",
        ));
    }
    api.database_answers().await?;
    Ok(HttpResponse::Ok().json(Probe { status: "ready" }))
}

/// How the service is
///
/// Taken from the last real calls; a vendor is asked only if none of them succeeded for a minute. Always 200: `healthy` says it.
#[utoipa::path(
    get, path = "/v1/health", tag = "health", operation_id = "getHealth",
    responses((status = 200, body = HealthReport, description = "How it is, well or not.")),
)]
pub(super) async fn health(api: web::Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(api.health_report().await)
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthReport {
    /// Both vendors and the database are.
    pub(crate) healthy: bool,
    pub(crate) cloudflare: VendorState,
    pub(crate) agora: VendorState,
    pub(crate) database: DatabaseState,
    pub(crate) budgets: Vec<Budget>,
    /// Null when the database does not say.
    pub(crate) cleanup_jobs: Option<CleanupJobs>,
    /// Null when the database does not say.
    pub(crate) alarms: Option<Vec<AlarmView>>,
}

/// How the database is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseState {
    /// It answers and takes writes.
    pub(crate) healthy: bool,
    /// This process drives the relays.
    pub(crate) acting: bool,
}

/// What is left of a vendor's rate limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Budget {
    /// Whose.
    pub(crate) name: &'static str,
    /// The most calls of any window.
    pub(crate) quota: u32,
    pub(crate) used: u32,
    pub(crate) left: u32,
    /// Callers who wait for a permit.
    pub(crate) waiting: usize,
    /// How long nobody may call, after the vendor said so.
    pub(crate) paused_for_seconds: Option<u64>,
}

/// What finished relays still owe a vendor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CleanupJobs {
    pub(crate) open: i64,
    pub(crate) kinds: Vec<CleanupKind>,
}

/// Open cleanup jobs of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CleanupKind {
    pub(crate) kind: String,
    pub(crate) open: i64,
    pub(crate) oldest_at: WireTime,
}

/// Something that wants a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlarmRow)]
pub(crate) struct AlarmView {
    pub(crate) code: String,
    /// What it is about: a relay's id, a vendor's, or empty.
    pub(crate) subject: String,
    /// The node that sees it; null when all nodes see the same.
    pub(crate) node: Option<String>,
    pub(crate) detail: String,
    pub(crate) since: WireTime,
    pub(crate) last_seen_at: WireTime,
}

async fn within<T>(read: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    timeout(DATABASE_PATIENCE, read).await.ok()?.ok()
}

fn budget(budget: &BudgetSnapshot) -> Budget {
    Budget {
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
    let kind = |count: &CleanupCount| CleanupKind {
        kind: count.kind.clone(),
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
    /// Asks the database, and each vendor unless a call to it has succeeded of late.
    pub(crate) async fn health_report(&self) -> HealthReport {
        let now = self.now();
        let (cloudflare, agora, database, counts, alarms) = futures_util::join!(
            self.health.cloudflare.state(now),
            self.health.agora.state(now),
            self.database_answers(),
            within(self.store.cleanup_job_counts()),
            within(self.store.alarms()),
        );
        let database = database.is_ok() && counts.is_some() && alarms.is_some();
        HealthReport {
            healthy: cloudflare.healthy && agora.healthy && database,
            cloudflare,
            agora,
            database: DatabaseState {
                healthy: database,
                acting: self.acts(),
            },
            budgets: (self.health.budgets)().iter().map(budget).collect(),
            cleanup_jobs: counts.as_deref().map(cleanup_jobs),
            alarms: alarms.map(|alarms| alarms.iter().map(alarm).collect()),
        }
    }

    /// Asks the database whether it is there.
    pub(super) async fn database_answers(&self) -> Result<(), Problem> {
        // It may be there to be read and take no write: then nothing that is asked for can be done.
        if !self.service.shared().database_answers() {
            return Err(Problem::new(
                Code::Database,
                "The database takes no writes.",
            ));
        }
        match timeout(DATABASE_PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Problem::new(
                Code::Database,
                "The database does not answer in time.",
            )),
        }
    }
}
