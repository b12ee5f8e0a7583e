//! Several processes on one PostgreSQL.

use std::time::Duration;

use serde::Deserialize;

use super::problem::SettingsReport;

/// Minimum lease: a shorter one expires while a database is merely slow.
const SHORTEST: Duration = Duration::from_secs(4);

/// `[fleet]`. Unused on SQLite, which serves one process.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetSettings {
    /// How long a silent process keeps its relays. It stops acting after half of it.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Interval of lease renewals.
    #[serde(with = "humantime_serde")]
    pub renewal: Duration,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(45),
            renewal: Duration::from_secs(10),
        }
    }
}

impl FleetSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.positive("fleet.renewal", self.renewal);
        if self.lease < SHORTEST {
            report.note("fleet.lease", "must be at least 4s");
        }
        // Two renewals may fail before half the lease is over.
        if self.renewal * 4 > self.lease {
            report.note("fleet.renewal", "must be at most a quarter of fleet.lease");
        }
    }
}
