//! What holds for every vendor call.

use std::time::Duration;

use serde::Deserialize;

use super::problem::Report;

/// `[vendors]`: what holds for every vendor call.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vendors {
    /// How long a read may take.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long a call that changes something may take.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// The most connections kept open to each host while nobody uses them.
    pub idle_connections: u32,
}

impl Default for Vendors {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(15),
            idle_connections: 64,
        }
    }
}

impl Vendors {
    pub(super) fn check(&self, report: &mut Report) {
        report.positive("vendors.read_timeout", self.read_timeout);
        report.positive("vendors.write_timeout", self.write_timeout);
    }
}
