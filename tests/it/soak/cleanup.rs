//! Compares the service's open cleanup jobs with what the vendors still have.

use chrono::{TimeDelta, Utc};
use relaykeeper::sandbox::WorldSnapshot;
use relaykeeper::store::{CleanupJobRow, Store, StoreError};
use serde::Serialize;

/// Such a job waits for a notification or for the time limit.
const UNLISTED: &str = r#"{"backend":"cloud_recording","kind":"find_egress""#;

/// More jobs than a run leaves.
const ALL: u64 = 100_000;

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Cleanup {
    /// Kind and target of jobs whose target still exists.
    pub(super) open: Vec<String>,
    /// Jobs whose target is gone: after a 404 the service polls again later.
    pub(super) second_polls: u64,
    /// Recordings not found: the service polls again after an hour and a day.
    pub(super) late_recordings: u64,
    /// Egresses without a known session: they end by themselves.
    pub(super) unknown_sessions: Vec<String>,
}

impl Cleanup {
    /// Due or not.
    pub(super) async fn read(store: &Store, vendors: &WorldSnapshot) -> Result<Self, StoreError> {
        let mut cleanup = Self::default();
        let due = Utc::now() + TimeDelta::days(365);
        for row in store.open_cleanup_jobs(due, ALL).await? {
            cleanup.add(&row, vendors);
        }
        Ok(cleanup)
    }

    fn add(&mut self, row: &CleanupJobRow, vendors: &WorldSnapshot) {
        let (kind, target) = (row.kind.as_str(), row.target.as_str());
        let exists = |target: &str| {
            let mut egresses = vendors.egresses.iter().filter(|one| one.is_alive());
            egresses.any(|one| one.id == target || one.name == target)
        };
        match kind {
            "find_recordings" => self.late_recordings += 1,
            "find_egress" if row.data.to_string().starts_with(UNLISTED) => {
                self.unknown_sessions.push(target.to_owned())
            }
            "stop_egress" | "find_egress" if !exists(target) => {
                self.second_polls += 1;
            }
            _ => self.open.push(format!("{kind} {target}")),
        }
    }

    /// Whether the remaining jobs end by themselves.
    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty() && self.second_polls == 0
    }
}
