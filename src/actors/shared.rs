//! The state that all actors and tasks of this process share.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use actix::{Addr, Handler, Message};
use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::alarms::LastSweep;
use super::calls::VendorClients;
use super::clock::ProcessClock;
use super::directory::Directory;
use super::fleet::status::FleetStatus;
use super::registry::Registry;
use super::strays::StrayReads;
use crate::config::Settings;
use crate::relay::Namespace;
use crate::store::{Save, Saved, Store, StoreError, until_answered};

#[derive(Debug)]
pub(super) enum SaveError {
    Fenced,
    Refused(String),
}

/// Whether starts and stops are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// This process does not own the database, or has not loaded its relays.
    Starting,
    /// Both are accepted.
    Ready,
    /// Only stops are: the process shuts down.
    Draining,
}

/// This process's shared state.
pub struct Shared {
    pub(super) clock: ProcessClock,
    pub(super) store: Store,
    pub(super) vendors: Arc<VendorClients>,
    pub(super) directory: Directory,
    pub(super) settings: Arc<Settings>,
    pub(super) runtime: tokio::runtime::Handle,
    owner: OnceLock<Namespace>,
    epoch: AtomicI64,
    readiness: AtomicU8,
    database_answers: AtomicU8,
    registry: RwLock<Option<Addr<Registry>>>,
    cleanup_jobs: Notify,
    pub(super) last_sweep: LastSweep,
    pub(super) stray_reads: StrayReads,
    pub(super) fleet: FleetStatus,
    pub(super) node: String,
    notice_reader: OnceLock<NoticeReader>,
}

type NoticeReader = Box<dyn Fn(&str, &serde_json::Value) + Send + Sync>;

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("node", &self.node)
            .field("readiness", &self.readiness())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Calls no vendor and reads nothing.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        store: Store,
        vendors: Arc<VendorClients>,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Self> {
        if store.is_shared() {
            vendors.recordings.share(store.clone());
        }
        Arc::new(Self {
            clock: ProcessClock::start(),
            store,
            vendors,
            directory: Directory::default(),
            settings,
            runtime,
            owner: OnceLock::new(),
            epoch: AtomicI64::new(0),
            readiness: AtomicU8::new(0),
            database_answers: AtomicU8::new(1),
            registry: RwLock::new(None),
            cleanup_jobs: Notify::new(),
            last_sweep: LastSweep::default(),
            stray_reads: StrayReads::default(),
            fleet: FleetStatus::default(),
            node: node(),
            notice_reader: OnceLock::new(),
        })
    }

    /// This process's name: host name and process id.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Sets the handler of vendor notifications that other nodes forward.
    pub fn on_notice(
        &self,
        notice_reader: impl Fn(&str, &serde_json::Value) + Send + Sync + 'static,
    ) {
        let _ = self.notice_reader.set(Box::new(notice_reader));
    }

    pub(super) fn read_forwarded_notice(&self, endpoint: &str, notice: &serde_json::Value) {
        if let Some(notice_reader) = self.notice_reader.get() {
            notice_reader(endpoint, notice);
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn delivers(&self) -> bool {
        !self.settings.webhooks.endpoint.is_empty()
    }

    /// The vendors' clients.
    #[must_use]
    pub fn vendors(&self) -> &Arc<VendorClients> {
        &self.vendors
    }

    /// The wall-clock time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Detects changes of the wall clock, forever.
    pub async fn watch_clock(&self) {
        self.clock.watch_forever().await;
    }

    /// The namespace of our tags. `None` until the database was read.
    pub(super) fn owner(&self) -> Option<Namespace> {
        self.owner.get().cloned()
    }

    pub(super) fn set_owner(&self, owner: Namespace) {
        // A second call sets the same value.
        let _ = self.owner.set(owner);
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Whether starts and stops are accepted.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        match self.readiness.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    pub(super) fn set_readiness(&self, readiness: Readiness) {
        let number = match readiness {
            Readiness::Starting => 0,
            Readiness::Ready => 1,
            Readiness::Draining => 2,
        };
        self.readiness.store(number, Ordering::Release);
    }

    /// Whether the last write or check reached the database.
    #[must_use]
    pub fn database_answers(&self) -> bool {
        self.database_answers.load(Ordering::Acquire) == 1
    }

    pub(super) fn note_database(&self, answers: bool) {
        self.database_answers
            .store(u8::from(answers), Ordering::Release);
    }

    pub(super) fn set_registry(&self, registry: Addr<Registry>) {
        *self.registry.write() = Some(registry);
    }

    pub(super) fn registry(&self) -> Option<Addr<Registry>> {
        self.registry.read().clone()
    }

    pub(super) fn send_to_registry<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Registry: Handler<M>,
    {
        if let Some(registry) = self.registry() {
            registry.do_send(message);
        }
    }

    pub(super) fn cleanup_changed(&self) {
        self.cleanup_jobs.notify_one();
    }

    pub(super) async fn new_cleanup_job(&self) {
        self.cleanup_jobs.notified().await;
    }

    /// Retries until the database answers: an outage ends no relay.
    pub(super) async fn save(&self, save: Save) -> Result<(), SaveError> {
        let saved = until_answered("save a relay", || async {
            let saved = self.store.save(save.clone()).await;
            if let Err(StoreError::Unavailable(_)) = saved {
                self.note_database(false);
            }
            saved
        });
        match saved.await {
            Ok(Saved::Saved) => {
                self.note_database(true);
                Ok(())
            }
            Ok(Saved::Fenced) => Err(SaveError::Fenced),
            Err(error) => Err(SaveError::Refused(error.to_string())),
        }
    }
}

fn node() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", host.trim(), std::process::id())
}
