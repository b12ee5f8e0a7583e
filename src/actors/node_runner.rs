//! Decides when this process may run relays: on SQLite with the file's lock, on PostgreSQL with a valid lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::alarms;
use super::fleet::{NodeSession, spawn_singletons};
use super::registry::{Adopt, LoadedRelay, Registry};
use super::shared::{Readiness, Shared};
use crate::relay::Namespace;
use crate::store::{DatabaseLock, StoreError};

const RETRY_EVERY: Duration = Duration::from_millis(500);

const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Another process took over this process's SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process took over the database: the lock beside its file was lost")]
pub struct TakenOver;

/// Acquires the database, runs relays, and releases the database.
#[derive(Debug)]
pub struct NodeRunner {
    shared: Arc<Shared>,
    /// Migrates only once: a later version may migrate further while this one runs.
    migrated: OnceCell<()>,
}

impl NodeRunner {
    /// Starts the registry, with actors on `threads` threads. Needs an actix system.
    #[must_use]
    pub fn new(shared: Arc<Shared>, threads: usize) -> Self {
        let registry = Registry::start(shared.clone(), threads);
        shared.set_registry(registry);
        let migrated = OnceCell::new();
        Self { shared, migrated }
    }

    /// Runs relays whenever it may, until `end` returns or another process took over the database.
    pub async fn run_until(self, end: impl Future<Output = ()>) -> Result<(), TakenOver> {
        let mut watch = JoinSet::new();
        watch.spawn(watch_database(self.shared.clone()));
        let held = match self.shared.store.is_shared() {
            true => {
                self.run_in_fleet(end).await;
                Ok(())
            }
            false => self.run_alone(end).await,
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
        let mut work = spawn_singletons(&self.shared);
        work.spawn(alarms::watch_own_forever(self.shared.clone()));
        let held = tokio::select! {
            () = &mut end => Ok(()),
            () = self.wait_until_taken_over() => Err(TakenOver),
        };
        if held.is_err() {
            self.set_waiting_for("Another process took over the database; this one exits.");
            self.shared.set_readiness(Readiness::Starting);
        }
        // Before the lock is released.
        work.shutdown().await;
        held
    }

    /// Returns when another process took an epoch: the lock was lost, e.g. its file was removed. Saves are fenced then.
    async fn wait_until_taken_over(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match self.shared.store.instance().await {
                Ok(instance) if instance.epoch != self.shared.epoch() => return,
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
            if self.shared.readiness() == Readiness::Ready {
                self.shared.set_readiness(Readiness::Starting);
            }
            session.drop_all().await;
        }
    }

    async fn join(&self) -> NodeSession {
        loop {
            let joined = match self.prepare().await {
                Ok(()) => NodeSession::join(self.shared.clone()).await,
                Err(error) => Err(error),
            };
            match joined {
                Ok(session) => {
                    self.set_ready();
                    return session;
                }
                Err(error) => {
                    self.shared.note_database(false);
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
            match DatabaseLock::try_acquire(&self.shared.settings.database) {
                Ok(Ok(lock)) => return lock,
                Ok(Err(held)) => {
                    self.shared.note_database(true);
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
                    self.shared.note_database(false);
                    tracing::warn!(%error, "cannot try the database lock");
                }
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Fences the previous process.
    async fn take_over(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        self.set_waiting_for("Unfinished relays are being loaded.");
        self.prepare().await?;
        shared.set_epoch(shared.store.take_epoch().await?);
        let mut relays: Vec<LoadedRelay> = Vec::new();
        let loaded = |stored| relays.push(LoadedRelay::from(stored));
        shared.store.each_unfinished(loaded).await?;
        let unfinished = relays.len();
        if let Some(registry) = shared.registry() {
            let _ = registry.send(Adopt { relays }).await;
        }
        self.set_ready();
        tracing::info!(unfinished, "ready");
        Ok(())
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        self.migrated
            .get_or_try_init(|| shared.store.migrate())
            .await?;
        let instance = shared.store.instance().await?;
        shared.set_owner(Namespace {
            deployment: shared.settings.relay.deployment.clone(),
            database: instance.database_id,
        });
        shared.store.deliver_messages(shared.delivers()).await
    }

    fn set_ready(&self) {
        self.shared.note_database(true);
        self.shared.fleet.set_waiting_for(None);
        if self.shared.readiness() == Readiness::Starting {
            self.shared.set_readiness(Readiness::Ready);
        }
    }

    fn set_waiting_for(&self, reason: &str) {
        self.shared.fleet.set_waiting_for(Some(reason.to_owned()));
    }

    /// The state shared with the actors.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Checks the database also while nothing is written.
async fn watch_database(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if shared.readiness() == Readiness::Starting {
            continue;
        }
        // After a failed write only a successful write counts.
        let answers = if shared.database_answers() {
            shared.store.ping_writer().await
        } else {
            shared.store.try_write().await
        };
        if let Err(error) = &answers {
            tracing::warn!(%error, "the database takes no writes");
        }
        shared.note_database(answers.is_ok());
    }
}
