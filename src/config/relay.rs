//! The life cycle of relays, and the janitor.

use std::time::Duration;

use serde::Deserialize;

use super::problem::SettingsReport;

/// What becomes of the live input when its relay has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestRetention {
    /// Deleted; its recordings stay.
    Delete,
    /// Kept, disabled.
    Keep,
}

/// `[relay]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelaySettings {
    pub deployment: String,
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub provisioning_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub live_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub live_check_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub reconnect_window: Duration,
    #[serde(with = "humantime_serde")]
    pub feed_timeout: Duration,
    /// A start may set another.
    #[serde(with = "humantime_serde")]
    pub max_duration: Duration,
    #[serde(with = "humantime_serde")]
    pub recording_timeout: Duration,
    /// A start may set another.
    pub delete_recording_after_days: u16,
    #[serde(rename = "live_input_retention")]
    pub ingest_retention: IngestRetention,
    #[serde(with = "humantime_serde")]
    pub start_wait: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            deployment: "relaykeeper".into(),
            poll_interval: Duration::from_secs(5),
            provisioning_timeout: Duration::from_secs(120),
            live_timeout: Duration::from_secs(120),
            live_check_interval: Duration::from_secs(30),
            reconnect_window: Duration::from_secs(60),
            feed_timeout: Duration::from_secs(180),
            max_duration: Duration::from_secs(7200),
            recording_timeout: Duration::from_secs(600),
            delete_recording_after_days: 30,
            ingest_retention: IngestRetention::Delete,
            start_wait: Duration::from_secs(10),
        }
    }
}

/// `[janitor]`: removal of orphans.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JanitorSettings {
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Default for JanitorSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            grace: Duration::from_secs(600),
        }
    }
}

impl RelaySettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=16).contains(&self.deployment.len()) || !self.deployment.chars().all(plain) {
            report.note("relay.deployment", "must be 1 to 16 of a-z, 0-9 and -");
        }
        report.positive("relay.poll_interval", self.poll_interval);
        report.positive("relay.provisioning_timeout", self.provisioning_timeout);
        report.positive("relay.live_timeout", self.live_timeout);
        report.positive("relay.live_check_interval", self.live_check_interval);
        report.positive("relay.reconnect_window", self.reconnect_window);
        report.positive("relay.max_duration", self.max_duration);
        report.positive("relay.recording_timeout", self.recording_timeout);
        report.bounded("relay.start_wait", self.start_wait);
        // A platform may take 0 for its default.
        if self.feed_timeout.is_zero() || self.feed_timeout > Duration::from_secs(86_400) {
            report.note(
                "relay.feed_timeout",
                "must be longer than zero and at most 1 day",
            );
        }
        report.within(
            "relay.delete_recording_after_days",
            self.delete_recording_after_days.into(),
            30..=1096,
            " days",
        );
    }
}

impl JanitorSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.positive("janitor.interval", self.interval);
        report.positive("janitor.grace", self.grace);
    }
}
