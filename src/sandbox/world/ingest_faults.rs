//! Ingests that are ill.

use std::collections::HashSet;
use std::time::Duration;

use super::{World, WorldState};
use crate::sandbox::fault::IngestFault;

#[derive(Debug, Default)]
pub(in crate::sandbox) struct IngestFaults {
    fault: Option<IngestFault>,
    /// When encoders are disconnected.
    drops_at: Option<Duration>,
    refuses: bool,
    silenced: HashSet<u64>,
    pub(in crate::sandbox) accepted: u64,
    pub(in crate::sandbox) dropped: u64,
    pub(in crate::sandbox) refused: u64,
}

impl IngestFaults {
    /// How many sockets were not read any more.
    pub(in crate::sandbox) fn silenced(&self) -> usize {
        self.silenced.len()
    }

    fn arm(&mut self, now: Duration) {
        if let Some(IngestFault::RefuseAgain(after)) = self.fault {
            self.drops_at.get_or_insert(now + after);
        }
    }
}

impl WorldState {
    pub(in crate::sandbox) fn set_ingest_fault(
        &mut self,
        fault: Option<IngestFault>,
        now: Duration,
    ) {
        let faults = &mut self.ingest_faults;
        (faults.fault, faults.drops_at, faults.refuses) = (fault, None, false);
        if !self.connections.is_empty() {
            faults.arm(now);
        }
    }

    /// Whether this encoder's socket is not read; counts it.
    pub(in crate::sandbox) fn silences(&mut self, connection: u64) -> bool {
        let faults = &mut self.ingest_faults;
        let is_silent = faults.fault == Some(IngestFault::Silent);
        if is_silent {
            faults.silenced.insert(connection);
        }
        is_silent
    }

    pub(super) fn refuse_by_fault(&mut self) -> Result<(), &'static str> {
        let faults = &mut self.ingest_faults;
        if !faults.refuses {
            return Ok(());
        }
        faults.refused += 1;
        Err("the ingest is out of order")
    }

    pub(super) fn count_encoder(&mut self, now: Duration) {
        self.ingest_faults.accepted += 1;
        self.ingest_faults.arm(now);
    }

    pub(super) fn settle_ingest_faults(&mut self, world: &World, now: Duration) {
        let faults = &mut self.ingest_faults;
        let Some(at) = faults.drops_at.filter(|at| *at <= now) else {
            return;
        };
        (faults.drops_at, faults.refuses) = (None, true);
        let connections: Vec<u64> = self.connections.keys().copied().collect();
        for connection in connections {
            self.ingest_faults.dropped += 1;
            self.disconnect(world, at, connection);
        }
    }
}
