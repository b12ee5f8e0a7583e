//! The threads of a process.

use serde::Deserialize;

use super::problem::SettingsReport;

/// More threads than any machine this runs on has use for: a slip.
const MOST: u32 = 1024;

/// `[runtime]`: the threads of a process. 0 is one for each processor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    /// Those that answer HTTP.
    pub http_workers: u32,
    /// Those that relays' actors live on.
    pub arbiters: u32,
    /// Those that carry calls to vendors and the database.
    pub tokio_workers: u32,
}

impl RuntimeSettings {
    /// How many threads a setting of this section means.
    pub(crate) fn threads(setting: u32) -> usize {
        match setting {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => usize::try_from(some).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        for (key, threads) in [
            ("runtime.http_workers", self.http_workers),
            ("runtime.arbiters", self.arbiters),
            ("runtime.tokio_workers", self.tokio_workers),
        ] {
            report.within(key, threads, 0..=MOST, " threads");
        }
    }
}
