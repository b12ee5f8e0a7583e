//! Agora Media Push.

use std::time::Duration;

use serde::Deserialize;

use super::problem::SettingsReport;

/// `[agora.media_push]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaPushSettings {
    pub requests_per_second: u32,
    pub max_concurrent: u32,
    pub region: String,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub query_interval: Duration,
    pub mode: MediaPushMode,
    /// Used when Agora transcodes.
    pub video: MediaPushVideoSettings,
}

impl Default for MediaPushSettings {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            max_concurrent: 0,
            region: "na".into(),
            idle_timeout: Duration::from_secs(240),
            query_interval: Duration::from_secs(15),
            mode: MediaPushMode::Transcoded,
            video: MediaPushVideoSettings::default(),
        }
    }
}

/// Whether Agora transcodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaPushMode {
    /// `transcodeOptions`: a canvas of fixed size.
    Transcoded,
    /// `rawOptions`: the seller's stream unchanged.
    Raw,
}

/// `[agora.media_push.video]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaPushVideoSettings {
    pub width: u32,
    pub height: u32,
    pub frame_rate: u32,
    pub gop_seconds: u32,
    /// Includes the audio.
    pub bitrate_kbps: u32,
}

impl Default for MediaPushVideoSettings {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            frame_rate: 30,
            gop_seconds: 4,
            bitrate_kbps: 3420,
        }
    }
}

impl MediaPushSettings {
    /// Ranges: `agora.md §4.3, §4.8, §4.10`; key frames and lowest bit rate: what platforms take.
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.within(
            "agora.media_push.requests_per_second",
            self.requests_per_second,
            1..=u32::MAX,
            "",
        );
        if !["cn", "ap", "na", "eu"].contains(&self.region.as_str()) {
            report.note("agora.media_push.region", "must be one of cn, ap, na, eu");
        }
        report.positive("agora.media_push.query_interval", self.query_interval);
        let idle = Duration::from_secs(5)..=Duration::from_secs(86_400);
        if !idle.contains(&self.idle_timeout) {
            report.note("agora.media_push.idle_timeout", "must be 5s to 1 day");
        }
        let video = &self.video;
        report.resolution("agora.media_push.video", video.width, video.height, 66);
        report.within(
            "agora.media_push.video.frame_rate",
            video.frame_rate,
            1..=30,
            " frames a second",
        );
        report.within(
            "agora.media_push.video.gop_seconds",
            video.gop_seconds,
            2..=10,
            " s",
        );
        report.within(
            "agora.media_push.video.bitrate_kbps",
            video.bitrate_kbps,
            2_000..=10_000,
            " kbit/s",
        );
    }
}
