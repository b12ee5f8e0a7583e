//! Logs and traces.

use serde::Deserialize;

use super::problem::SettingsReport;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line per event, with colours on a terminal.
    #[default]
    Pretty,
    /// One JSON object per event.
    Json,
}

/// `[telemetry]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    pub log_format: LogFormat,
    /// Empty: no traces.
    pub otlp_endpoint: String,
}

impl TelemetrySettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        if !self.otlp_endpoint.is_empty() {
            report.base_url("telemetry.otlp_endpoint", &self.otlp_endpoint);
        }
    }

    pub(super) fn warn(&self, report: &mut SettingsReport) {
        if !self.otlp_endpoint.is_empty() && !cfg!(feature = "otlp") {
            report.note(
                "telemetry.otlp_endpoint",
                "is set, but this program was built without the feature otlp: no traces are sent",
            );
        }
    }
}
