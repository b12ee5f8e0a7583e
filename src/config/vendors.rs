//! Settings of all vendor calls.

use std::time::Duration;

use serde::Deserialize;

use super::problem::SettingsReport;

/// `[vendors]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VendorsSettings {
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    pub idle_connections: u32,
}

impl Default for VendorsSettings {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(15),
            idle_connections: 64,
        }
    }
}

impl VendorsSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.positive("vendors.read_timeout", self.read_timeout);
        report.positive("vendors.write_timeout", self.write_timeout);
    }
}
