//! What changes about a node while it runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::relay::Namespace;
use crate::store::Fleet;

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

#[derive(Debug)]
pub(super) struct NodeStatus {
    namespace: OnceLock<Namespace>,
    epoch: AtomicI64,
    readiness: watch::Sender<Readiness>,
    database_answers: AtomicBool,
    /// As last read; without a fleet empty.
    fleet: Mutex<Fleet>,
    waiting_for: Mutex<Option<String>>,
}

impl Default for NodeStatus {
    fn default() -> Self {
        Self {
            namespace: OnceLock::new(),
            epoch: AtomicI64::new(0),
            readiness: watch::Sender::new(Readiness::Starting),
            database_answers: AtomicBool::new(true),
            fleet: Mutex::default(),
            waiting_for: Mutex::default(),
        }
    }
}

impl NodeStatus {
    /// The namespace of our tags. `None` until the database was read.
    pub(super) fn namespace(&self) -> Option<Namespace> {
        self.namespace.get().cloned()
    }

    pub(super) fn set_namespace(&self, namespace: Namespace) {
        // A second call sets the same value.
        let _ = self.namespace.set(namespace);
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(super) fn readiness(&self) -> Readiness {
        *self.readiness.borrow()
    }

    pub(super) fn set_readiness(&self, readiness: Readiness) {
        self.readiness.send_replace(readiness);
    }

    pub(super) async fn draining(&self) {
        let mut readiness = self.readiness.subscribe();
        // Cannot fail: `self` has the sender.
        let _ = readiness
            .wait_for(|readiness| *readiness == Readiness::Draining)
            .await;
    }

    pub(super) fn database_answers(&self) -> bool {
        self.database_answers.load(Ordering::Acquire)
    }

    pub(super) fn note_database(&self, answers: bool) {
        self.database_answers.store(answers, Ordering::Release);
    }

    pub(super) fn set_fleet(&self, fleet: Fleet) {
        *self.fleet.lock() = fleet;
    }

    /// The number of nodes, at least 1.
    pub(super) fn fleet_size(&self) -> u32 {
        u32::try_from(self.fleet.lock().nodes.len())
            .unwrap_or(u32::MAX)
            .max(1)
    }

    pub(super) fn name_of(&self, epoch: i64) -> Option<String> {
        let fleet = self.fleet.lock();
        let node = fleet.nodes.iter().find(|node| node.epoch == epoch)?;
        Some(node.name.clone())
    }

    /// Why starts are not accepted, as a sentence.
    pub(super) fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().clone()
    }

    pub(super) fn set_waiting_for(&self, reason: Option<String>) {
        *self.waiting_for.lock() = reason;
    }
}
