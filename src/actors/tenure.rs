//! The time in which this process acts on its database: from taking the lock to losing it, or to the process's end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::registry::{Abandon, Recover, Registry};
use super::shared::{Readiness, Shared};
use super::{alarms, debts, dispatcher, janitor};
use crate::relay::Owner;
use crate::store::{DatabaseLock, StoreError};

/// Between two tries at the lock, or at a database that does not answer.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Between two questions whether the database takes writes: it may fall ill while nobody has anything to save.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Takes the database over when it is free, drives what is in it, and lets go when the lock is lost.
#[derive(Debug)]
pub struct Tenure {
    shared: Arc<Shared>,
}

impl Tenure {
    /// Starts the registry. Needs an actix system; relays are spread over `threads` threads.
    #[must_use]
    pub fn new(shared: Arc<Shared>, threads: usize) -> Self {
        let registry = Registry::start(shared.clone(), threads);
        shared.set_registry(registry);
        Self { shared }
    }

    /// Holds the database whenever it can, until `end` returns.
    pub async fn hold_until(self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            let lock = tokio::select! {
                lock = self.take() => lock,
                () = &mut end => return,
            };
            let mut work = self.work();
            let lost = tokio::select! {
                () = lock.lost() => true,
                () = &mut end => false,
            };
            if lost {
                tracing::error!(
                    "the database lock was lost: this process stops acting until it has it again"
                );
                self.shared.set_readiness(Readiness::Starting);
                self.shared.registry_hears(Abandon);
            }
            // While the lock is still held, and the database still open.
            work.shutdown().await;
            if !lost {
                return;
            }
        }
    }

    /// Waits until the database is free and was taken over.
    async fn take(&self) -> DatabaseLock {
        loop {
            let lock = self.acquire().await;
            match self.take_over().await {
                Ok(()) => return lock,
                Err(error) => {
                    tracing::warn!(%error, "the database was not taken over; tried again");
                    tokio::time::sleep(TRY_EVERY).await;
                }
            }
        }
    }

    /// What is done for all relays while the database is held.
    fn work(&self) -> JoinSet<()> {
        let mut work = JoinSet::new();
        work.spawn(debts::pay_forever(self.shared.clone()));
        work.spawn(janitor::sweep_forever(self.shared.clone()));
        work.spawn(watch_database(self.shared.clone()));
        work.spawn(alarms::watch_forever(self.shared.clone()));
        work.spawn(dispatcher::deliver_forever(self.shared.clone()));
        work
    }

    /// Waits for the lock.
    async fn acquire(&self) -> DatabaseLock {
        let mut told = false;
        loop {
            match DatabaseLock::try_acquire(&self.shared.settings.database).await {
                Ok(Ok(lock)) => return lock,
                Ok(Err(held)) => {
                    self.shared.note_database(true);
                    if !std::mem::replace(&mut told, true) {
                        let pid = held.pid;
                        tracing::warn!(
                            pid,
                            "another process holds the database: this one serves reads, and waits"
                        );
                    }
                }
                Err(error) => {
                    self.shared.note_database(false);
                    tracing::warn!(%error, "the database lock was not tried");
                }
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// Brings the schema up to date, fences whoever had the database before, and has every unfinished relay go on.
    async fn take_over(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.store.migrate().await?;
        let instance = shared.store.instance().await?;
        shared.owns(Owner {
            deployment: shared.settings.relay.deployment.clone(),
            database: instance.database_id,
        });
        shared.set_epoch(shared.store.take_epoch().await?);
        shared.store.deliver_messages(shared.delivers()).await?;
        let relays = shared.store.unfinished().await?;
        let unfinished = relays.len();
        if let Some(registry) = shared.registry() {
            // Answered when every one of them has its actor.
            let _ = registry.send(Recover { relays }).await;
        }
        shared.note_database(true);
        if shared.readiness() == Readiness::Starting {
            shared.set_readiness(Readiness::Ready);
        }
        tracing::info!(unfinished, "ready");
        Ok(())
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
        tokio::time::sleep(ASK_EVERY).await;
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
