//! What this process knows of the fleet it is in, for those who ask it.

use parking_lot::Mutex;

use crate::store::Fleet;

/// What is known of the fleet.
#[derive(Debug, Default)]
pub(in crate::actors) struct State(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    fleet: Fleet,
    /// Why this process waits instead of acting.
    waits: Option<String>,
}

impl State {
    /// The fleet is so.
    pub(super) fn note(&self, fleet: Fleet) {
        self.0.lock().fleet = fleet;
    }

    /// This process is no node any more: what it knew is of no use.
    pub(super) fn forget(&self) {
        self.0.lock().fleet = Fleet::default();
    }

    /// This process waits for something; none: it does not.
    pub(in crate::actors) fn waits(&self, reason: Option<String>) {
        self.0.lock().waits = reason;
    }

    /// Why this process waits.
    pub(in crate::actors) fn reason(&self) -> Option<String> {
        self.0.lock().waits.clone()
    }

    /// All nodes, by their epochs.
    pub(in crate::actors) fn epochs(&self) -> Vec<i64> {
        self.0
            .lock()
            .fleet
            .nodes
            .iter()
            .map(|node| node.epoch)
            .collect()
    }

    /// How many nodes there are, this one included.
    pub(in crate::actors) fn size(&self) -> u32 {
        u32::try_from(self.0.lock().fleet.nodes.len())
            .unwrap_or(u32::MAX)
            .max(1)
    }

    /// The name of the node of this epoch.
    pub(in crate::actors) fn name_of(&self, epoch: i64) -> Option<String> {
        let known = self.0.lock();
        let mut nodes = known.fleet.nodes.iter();
        let node = nodes.find(|node| node.epoch == epoch)?;
        Some(node.name.clone())
    }
}
