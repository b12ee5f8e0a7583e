//! The threads of a process.

use serde::Deserialize;

use super::problem::SettingsReport;

/// Catches typing errors.
const MAX_THREADS: u32 = 1024;

/// `[runtime]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    pub http_workers: u32,
    pub arbiters: u32,
    pub tokio_workers: u32,
}

impl RuntimeSettings {
    /// Resolves 0 to one thread per processor.
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
            report.within(key, threads, 0..=MAX_THREADS, " threads");
        }
    }
}
