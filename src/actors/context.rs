//! What this process's actors and tasks work with.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::calls::VendorClients;
use super::clock::ProcessClock;
use super::cluster::Cluster;
use super::directory::Directory;
use crate::config::Settings;
use crate::store::Store;

/// The parts of a node that stay the same while it runs.
pub struct NodeContext {
    /// The node's name: host name and process id.
    pub node: String,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The vendors' clients.
    pub vendors: Arc<VendorClients>,
    pub(super) clock: ProcessClock,
    pub(super) store: Store,
    pub(super) cluster: Cluster,
    pub(super) directory: Directory,
    pub(super) runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for NodeContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeContext")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl NodeContext {
    /// Calls no vendor and reads nothing.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        cluster: Cluster,
        vendors: Arc<VendorClients>,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            node: node(),
            settings,
            vendors,
            clock: ProcessClock::start(),
            store: cluster.store().clone(),
            cluster,
            directory: Directory::default(),
            runtime,
        })
    }

    pub(super) fn delivers(&self) -> bool {
        !self.settings.webhooks.endpoint.is_empty()
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
}

fn node() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", host.trim(), std::process::id())
}
