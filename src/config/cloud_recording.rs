//! Agora Cloud Recording in web mode.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;

/// Egress uids are `recording_uid_base` plus less than this number.
const RECORDING_UID_ROOM: u32 = 1_000_000;

/// `[agora.cloud_recording]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudRecordingSettings {
    /// Agora counts per App ID.
    pub requests_per_second: u32,
    pub max_concurrent: u32,
    pub page_url: String,
    #[serde(with = "humantime_serde")]
    pub query_interval: Duration,
    pub max_recording_hours: u32,
    pub video: CloudRecordingVideoSettings,
    /// Where Agora uploads its own copy, which web mode always makes.
    pub storage: StorageSettings,
    pub recording_uid_base: u32,
}

impl Default for CloudRecordingSettings {
    fn default() -> Self {
        Self {
            requests_per_second: 10,
            max_concurrent: 0,
            page_url: String::new(),
            query_interval: Duration::from_secs(120),
            max_recording_hours: 25,
            video: CloudRecordingVideoSettings::default(),
            storage: StorageSettings::default(),
            recording_uid_base: 900_000_000,
        }
    }
}

/// `[agora.cloud_recording.video]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudRecordingVideoSettings {
    pub width: u32,
    pub height: u32,
    pub frame_rate: u32,
    pub bitrate_kbps: u32,
}

impl Default for CloudRecordingVideoSettings {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            frame_rate: 30,
            bitrate_kbps: 3000,
        }
    }
}

/// `[agora.cloud_recording.storage]`: Agora's `storageConfig` (`agora.md §2.8, §3.4`).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    pub vendor: u32,
    pub region: u32,
    pub bucket: String,
    pub access_key: SecretString,
    pub secret_key: SecretString,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            vendor: 1,
            region: 0,
            bucket: String::new(),
            access_key: SecretString::default(),
            secret_key: SecretString::default(),
        }
    }
}

impl CloudRecordingSettings {
    /// The uids reserved for egresses.
    #[must_use]
    pub fn recorder_uids(&self) -> RangeInclusive<u32> {
        let base = self.recording_uid_base;
        base..=base.saturating_add(RECORDING_UID_ROOM - 1)
    }

    /// Ranges: `agora.md §3.2`; lowest bit rate: what platforms take.
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.within(
            "agora.cloud_recording.requests_per_second",
            self.requests_per_second,
            1..=u32::MAX,
            "",
        );
        if !self.page_url.is_empty() {
            report.http_url("agora.cloud_recording.page_url", &self.page_url);
        }
        report.positive("agora.cloud_recording.query_interval", self.query_interval);
        report.within(
            "agora.cloud_recording.max_recording_hours",
            self.max_recording_hours,
            1..=720,
            " h",
        );
        report.within(
            "agora.cloud_recording.recording_uid_base",
            self.recording_uid_base,
            1..=u32::MAX - RECORDING_UID_ROOM,
            "",
        );
        let video = &self.video;
        report.resolution(
            "agora.cloud_recording.video",
            video.width,
            video.height,
            240,
        );
        report.within(
            "agora.cloud_recording.video.frame_rate",
            video.frame_rate,
            5..=60,
            " frames a second",
        );
        report.within(
            "agora.cloud_recording.video.bitrate_kbps",
            video.bitrate_kbps,
            2_000..=10_000,
            " kbit/s",
        );
        report.credential(
            "agora.cloud_recording.storage.access_key",
            self.storage.access_key.expose_secret(),
        );
        report.credential(
            "agora.cloud_recording.storage.secret_key",
            self.storage.secret_key.expose_secret(),
        );
    }

    pub(super) fn warn(&self, report: &mut SettingsReport) {
        match self.storage.vendor {
            1 | 2 | 3 | 5 | 6 | 7 | 8 => {}
            11 => report.note(
                "agora.cloud_recording.storage.vendor",
                "11 (any S3-compatible storage) needs an endpoint, for which there is no setting",
            ),
            _ => report.note(
                "agora.cloud_recording.storage.vendor",
                "is not one of Agora's numbers",
            ),
        }
    }
}
