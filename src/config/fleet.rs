//! Several processes on one PostgreSQL.

use std::time::Duration;

use serde::Deserialize;

use super::problem::SettingsReport;

/// A shorter lease expires while a database is merely slow.
const MIN_LEASE: Duration = Duration::from_secs(4);

/// `[fleet]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetSettings {
    /// A process stops acting when half of it is over without a renewal.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
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
        if self.lease < MIN_LEASE {
            report.note("fleet.lease", "must be at least 4s");
        }
        // Two renewals may fail before half the lease is over.
        if self.renewal * 4 > self.lease {
            report.note("fleet.renewal", "must be at most a quarter of fleet.lease");
        }
    }
}
