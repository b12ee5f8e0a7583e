//! The time in which this process acts on its database: on SQLite from taking the file's lock to its end, on PostgreSQL as
//! a node among others, as long as its lease is renewed.

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

/// Between two tries at the lock, or at a database that does not answer.
const RERETRY_EVERY: Duration = Duration::from_millis(500);

/// Between two questions whether the database takes writes: it may fall ill while nobody has anything to save.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Another process acts on this process's SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process took the database over: the lock beside its file was lost")]
pub struct TakenOver;

/// Takes the database over when it may, drives what is this process's to drive, and lets go of it.
#[derive(Debug)]
pub struct NodeRunner {
    shared: Arc<Shared>,
    /// Whether the schema was brought up to date. Once is enough: a later version may have gone beyond what this one knows, and
    /// it goes on until it is replaced.
    migrated: OnceCell<()>,
}

impl NodeRunner {
    /// Starts the registry. Needs an actix system; relays are spread over `threads` threads.
    #[must_use]
    pub fn new(shared: Arc<Shared>, threads: usize) -> Self {
        let registry = Registry::start(shared.clone(), threads);
        shared.set_registry(registry);
        let migrated = OnceCell::new();
        Self { shared, migrated }
    }

    /// Acts whenever it may, until `end` returns.
    ///
    /// # Errors
    /// [`TakenOver`]: before `end` returned.
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
        // While the database is still open.
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
            self.set_waiting_for("Another process took the database over; this one ends.");
            self.shared.set_readiness(Readiness::Starting);
        }
        // While the lock is still held.
        work.shutdown().await;
        held
    }

    /// Returns when another process has drawn an epoch: the lock was lost, for example because its file was removed. Nothing
    /// that this process saves counts any more.
    async fn wait_until_taken_over(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match self.shared.store.instance().await {
                Ok(instance) if instance.epoch != self.shared.epoch() => return,
                Ok(_) => {}
                // That the database does not answer is noted elsewhere.
                Err(error) => tracing::debug!(%error, "the epoch was not read"),
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
                "this process is no node any more: it drops its relays, and joins anew"
            );
            self.set_waiting_for("This process lost its lease on its relays, and joins anew.");
            if self.shared.readiness() == Readiness::Ready {
                self.shared.set_readiness(Readiness::Starting);
            }
            session.drop_all().await;
        }
    }

    /// Waits until this process is a node, with what it is to drive in its actors' hands.
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
                    tracing::warn!(%error, "this process did not become a node; tried again");
                    tokio::time::sleep(RERETRY_EVERY).await;
                }
            }
        }
    }

    /// Waits until the database is free and was taken over.
    async fn take_database(&self) -> DatabaseLock {
        loop {
            let lock = self.acquire_lock().await;
            match self.take_over().await {
                Ok(()) => return lock,
                Err(error) => {
                    tracing::warn!(%error, "the database was not taken over; tried again");
                    tokio::time::sleep(RERETRY_EVERY).await;
                }
            }
        }
    }

    /// Waits for the lock.
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
                            "another process holds the database: this one serves reads, and waits"
                        );
                    }
                    self.set_waiting_for(&match held.pid {
                        Some(pid) => format!("Process {pid} holds the database; this one waits."),
                        None => "Another process holds the database; this one waits.".to_owned(),
                    });
                }
                Err(error) => {
                    self.shared.note_database(false);
                    tracing::warn!(%error, "the database lock was not tried");
                }
            }
            tokio::time::sleep(RERETRY_EVERY).await;
        }
    }

    /// Fences whoever had the database before, and has every unfinished relay go on.
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
            // Answered when every one of them has its actor.
            let _ = registry.send(Adopt { relays }).await;
        }
        self.set_ready();
        tracing::info!(unfinished, "ready");
        Ok(())
    }

    /// Brings the schema up to date, and reads whose database it is.
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

    /// What is shared with the actors.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Keeps what is known of the database true, also when nobody writes.
async fn watch_database(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if shared.readiness() == Readiness::Starting {
            continue;
        }
        // What did not take the last write is believed when it takes one.
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
