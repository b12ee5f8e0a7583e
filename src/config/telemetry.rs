//! How logs look, and where traces go.

use serde::Deserialize;

use super::problem::SettingsReport;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line an event, for people; with colours on a terminal.
    #[default]
    Pretty,
    /// One JSON object an event, for machines.
    Json,
}

/// `[telemetry]`: logs and traces.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// How log lines look. `--log-format` wins.
    pub log_format: LogFormat,
    /// An OpenTelemetry collector that takes traces over OTLP/HTTP: `http://localhost:4318`; empty: none.
    pub otlp_endpoint: String,
}

impl TelemetrySettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        if !self.otlp_endpoint.is_empty() {
            report.base_url("telemetry.otlp_endpoint", &self.otlp_endpoint);
        }
    }

    pub(super) fn doubts(&self, report: &mut SettingsReport) {
        if !self.otlp_endpoint.is_empty() && !cfg!(feature = "otlp") {
            report.note(
                "telemetry.otlp_endpoint",
                "is set, but this program was built without the feature otlp: no traces are sent",
            );
        }
    }
}
