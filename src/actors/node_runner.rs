//! Decides when this process may run relays: on SQLite with the file's lock, on PostgreSQL with a valid lease.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::channel::AddressReceiver;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::alarms;
use super::cluster::Cluster;
use super::context::NodeContext;
use super::fleet::{NodeSession, spawn_singletons};
use super::messages::{Adopt, LoadedRelay, Mailboxes};
use super::notices::Notices;
use super::registry::Registry;
use super::service::RelayService;
use super::status::{NodeStatus, Readiness};
use crate::relay::Namespace;
use crate::store::{DatabaseLock, StoreError};

const RETRY_EVERY: Duration = Duration::from_millis(500);

const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Another process took over this process's SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process took over the database: the lock beside its file was lost")]
pub struct TakenOver;

/// Acquires the database, runs relays, and releases the database.
pub struct NodeRunner {
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    notices: Arc<Notices>,
    registry: Option<AddressReceiver<Registry>>,
    /// Migrates only once: a later version may migrate further while this one runs.
    migrated: OnceCell<()>,
}

impl std::fmt::Debug for NodeRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = &self.status;
        f.debug_tuple("NodeRunner").field(status).finish()
    }
}

impl NodeRunner {
    /// Runs nothing yet.
    #[must_use]
    pub fn new(context: Arc<NodeContext>) -> Self {
        let (mailboxes, registry) = Registry::mailboxes();
        let status = Arc::<NodeStatus>::default();
        let notices = Notices::new(context.clone(), status.clone(), mailboxes.clone());
        Self {
            context,
            status,
            mailboxes,
            notices: Arc::new(notices),
            registry: Some(registry),
            migrated: OnceCell::new(),
        }
    }

    /// The service over the relays that this runs.
    #[must_use]
    pub fn service(&self) -> RelayService {
        RelayService::new(
            self.context.clone(),
            self.status.clone(),
            self.mailboxes.clone(),
            self.notices.clone(),
        )
    }

    /// Runs relays whenever it may, until `end` returns or another process took over the database. Needs an actix system.
    pub async fn run_until(mut self, end: impl Future<Output = ()>) -> Result<(), TakenOver> {
        if let Some(registry) = self.registry.take() {
            let (context, status) = (self.context.clone(), self.status.clone());
            Registry::start(registry, context, status, self.mailboxes.clone());
        }
        let mut watch = JoinSet::new();
        watch.spawn(watch_database(self.context.clone(), self.status.clone()));
        let held = match self.context.cluster {
            Cluster::Fleet(_) => {
                self.run_in_fleet(end).await;
                Ok(())
            }
            Cluster::Single(_) => self.run_alone(end).await,
        };
        // Before the database is closed.
        watch.shutdown().await;
        held
    }

    async fn run_alone(&self, end: impl Future<Output = ()>) -> Result<(), TakenOver> {
        let mut end = std::pin::pin!(end);
        let _lock = tokio::select! {
            lock = self.take_database() => lock,
            () = &mut end => return Ok(()),
        };
        let mut work = spawn_singletons(&self.context, &self.status, &self.mailboxes);
        work.spawn(alarms::watch_own_forever(self.context.clone()));
        let held = tokio::select! {
            () = &mut end => Ok(()),
            () = self.wait_until_taken_over() => Err(TakenOver),
        };
        if held.is_err() {
            self.set_waiting_for("Another process took over the database; this one exits.");
            self.status.set_readiness(Readiness::Starting);
        }
        // Before the lock is released.
        work.shutdown().await;
        held
    }

    /// Returns when another process took an epoch: the lock was lost, e.g. its file was removed. Saves are fenced then.
    async fn wait_until_taken_over(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match self.context.store.instance().await {
                Ok(instance) if instance.epoch != self.status.epoch() => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot read the epoch"),
            }
        }
    }

    async fn run_in_fleet(&self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            let mut session = tokio::select! {
                session = self.join() => session,
                () = &mut end => return,
            };
            let lost = tokio::select! {
                lost = session.run() => lost,
                () = &mut end => return session.leave().await,
            };
            tracing::error!(
                %lost,
                "lost the lease; dropping relays and rejoining"
            );
            self.set_waiting_for(
                "This process lost its lease on its relays and rejoins the fleet.",
            );
            if self.status.readiness() == Readiness::Ready {
                self.status.set_readiness(Readiness::Starting);
            }
            session.drop_all().await;
            self.context.vendors.publish_urls.forget_all();
        }
    }

    async fn join(&self) -> NodeSession {
        loop {
            let joined = match self.prepare().await {
                Ok(()) => {
                    let (context, status) = (self.context.clone(), self.status.clone());
                    let (mailboxes, notices) = (self.mailboxes.clone(), self.notices.clone());
                    NodeSession::join(context, status, mailboxes, notices).await
                }
                Err(error) => Err(error),
            };
            match joined {
                Ok(session) => {
                    self.set_ready();
                    return session;
                }
                Err(error) => {
                    self.status.note_database(false);
                    tracing::warn!(%error, "cannot join the fleet; retrying");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
            }
        }
    }

    async fn take_database(&self) -> DatabaseLock {
        loop {
            let lock = self.acquire_lock().await;
            match self.take_over().await {
                Ok(()) => return lock,
                Err(error) => {
                    tracing::warn!(%error, "cannot take over the database; retrying");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
            }
        }
    }

    async fn acquire_lock(&self) -> DatabaseLock {
        let mut logged = false;
        loop {
            match DatabaseLock::try_acquire(&self.context.settings.database) {
                Ok(Ok(lock)) => return lock,
                Ok(Err(held)) => {
                    self.status.note_database(true);
                    if !std::mem::replace(&mut logged, true) {
                        let pid = held.pid;
                        tracing::warn!(
                            pid,
                            "another process holds the database; serving reads and waiting"
                        );
                    }
                    self.set_waiting_for(&match held.pid {
                        Some(pid) => format!("Process {pid} holds the database; this one waits."),
                        None => "Another process holds the database; this one waits.".to_owned(),
                    });
                }
                Err(error) => {
                    self.status.note_database(false);
                    tracing::warn!(%error, "cannot try the database lock");
                }
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Fences the previous process.
    async fn take_over(&self) -> Result<(), StoreError> {
        let store = &self.context.store;
        self.set_waiting_for("Unfinished relays are being loaded.");
        self.prepare().await?;
        self.status.set_epoch(store.take_epoch().await?);
        let mut relays: Vec<LoadedRelay> = Vec::new();
        let loaded = |stored| relays.push(LoadedRelay::from(stored));
        store.each_unfinished(loaded).await?;
        let unfinished = relays.len();
        let _ = self.mailboxes.adopt.send(Adopt { relays }).await;
        self.set_ready();
        tracing::info!(unfinished, "ready");
        Ok(())
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let context = &self.context;
        self.migrated
            .get_or_try_init(|| context.store.migrate())
            .await?;
        let instance = context.store.instance().await?;
        self.status.set_namespace(Namespace {
            deployment: context.settings.relay.deployment.clone(),
            database: instance.database_id,
        });
        context.store.deliver_messages(context.delivers()).await
    }

    fn set_ready(&self) {
        self.status.note_database(true);
        self.status.set_waiting_for(None);
        if self.status.readiness() == Readiness::Starting {
            self.status.set_readiness(Readiness::Ready);
        }
    }

    fn set_waiting_for(&self, reason: &str) {
        self.status.set_waiting_for(Some(reason.to_owned()));
    }
}

/// Checks the database also while nothing is written.
async fn watch_database(context: Arc<NodeContext>, status: Arc<NodeStatus>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if status.readiness() == Readiness::Starting {
            continue;
        }
        // After a failed write only a successful write counts.
        let answers = if status.database_answers() {
            context.store.ping_writer().await
        } else {
            context.store.try_write().await
        };
        if let Err(error) = &answers {
            tracing::warn!(%error, "the database takes no writes");
        }
        status.note_database(answers.is_ok());
    }
}
