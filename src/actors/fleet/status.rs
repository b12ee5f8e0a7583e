//! What this process last read about its fleet.

use parking_lot::Mutex;

use crate::store::Fleet;

#[derive(Debug, Default)]
pub(in crate::actors) struct FleetStatus {
    fleet: Mutex<Fleet>,
    waiting_for: Mutex<Option<String>>,
}

impl FleetStatus {
    pub(super) fn set(&self, fleet: Fleet) {
        *self.fleet.lock() = fleet;
    }

    pub(super) fn clear(&self) {
        *self.fleet.lock() = Fleet::default();
    }

    pub(in crate::actors) fn set_waiting_for(&self, reason: Option<String>) {
        *self.waiting_for.lock() = reason;
    }

    pub(in crate::actors) fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().clone()
    }

    pub(in crate::actors) fn epochs(&self) -> Vec<i64> {
        let fleet = self.fleet.lock();
        fleet.nodes.iter().map(|node| node.epoch).collect()
    }

    pub(in crate::actors) fn size(&self) -> u32 {
        u32::try_from(self.fleet.lock().nodes.len())
            .unwrap_or(u32::MAX)
            .max(1)
    }

    pub(in crate::actors) fn name_of(&self, epoch: i64) -> Option<String> {
        let fleet = self.fleet.lock();
        let node = fleet.nodes.iter().find(|node| node.epoch == epoch)?;
        Some(node.name.clone())
    }
}
