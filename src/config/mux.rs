//! Mux Video.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;

/// `[mux]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MuxSettings {
    pub token_id: String,
    pub token_secret: SecretString,
    #[serde(deserialize_with = "super::load::base_url")]
    pub api_base_url: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub playback_base_url: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub ingest_url: String,
    pub webhook_secrets: Vec<SecretString>,
    pub reads_per_second: u32,
    pub writes_per_second: u32,
    #[serde(with = "humantime_serde")]
    pub recordings_interval: Duration,
}

impl Default for MuxSettings {
    fn default() -> Self {
        Self {
            token_id: String::new(),
            token_secret: SecretString::default(),
            api_base_url: "https://api.mux.com".into(),
            playback_base_url: "https://stream.mux.com".into(),
            ingest_url: "rtmps://global-live.mux.com:443/app".into(),
            webhook_secrets: Vec::new(),
            reads_per_second: 1,
            writes_per_second: 1,
            recordings_interval: Duration::from_secs(20),
        }
    }
}

pub(super) const NAME: &str = "mux";

pub(super) const SHORT_NAMES: [(&str, &str); 6] = [
    ("MUX_TOKEN_ID", "mux.token_id"),
    ("MUX_TOKEN_SECRET", "mux.token_secret"),
    ("MUX_API_BASE_URL", "mux.api_base_url"),
    ("MUX_PLAYBACK_BASE_URL", "mux.playback_base_url"),
    ("MUX_INGEST_URL", "mux.ingest_url"),
    ("MUX_WEBHOOK_SECRET", "mux.webhook_secrets"),
];

impl MuxSettings {
    /// Whether there are credentials.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.needed().iter().all(|(is_missing, ..)| !is_missing)
    }

    /// What `serve` needs: whether it is missing, its key, and where to get it.
    pub(super) fn needed(&self) -> [(bool, &'static str, &'static str); 2] {
        [
            (
                self.token_id.is_empty(),
                "mux.token_id",
                "the id of an access token with the permission Mux Video, read and write: Mux dashboard, Settings, Access Tokens",
            ),
            (
                self.token_secret.expose_secret().is_empty(),
                "mux.token_secret",
                "the secret of that access token; the dashboard shows it once",
            ),
        ]
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.credential("mux.token_id", &self.token_id);
        report.credential("mux.token_secret", self.token_secret.expose_secret());
        report.base_url("mux.api_base_url", &self.api_base_url);
        report.base_url("mux.playback_base_url", &self.playback_base_url);
        let is_rtmp = url::Url::parse(&self.ingest_url)
            .is_ok_and(|url| matches!(url.scheme(), "rtmp" | "rtmps") && url.has_host());
        if !is_rtmp {
            report.note("mux.ingest_url", "must be an rtmps or rtmp URL");
        }
        report.secrets("mux.webhook_secrets", &self.webhook_secrets);
        for (key, rate) in [
            ("mux.reads_per_second", self.reads_per_second),
            ("mux.writes_per_second", self.writes_per_second),
        ] {
            report.within(key, rate, 1..=u32::MAX, "");
        }
        report.positive("mux.recordings_interval", self.recordings_interval);
    }
}
