//! Settings that both Agora products share.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;
use super::{CloudRecordingSettings, MediaPushMode, MediaPushSettings};

/// What Cloud Recording adds to the bit rate of its video: 48 kHz mono (`agora.md §3.1`).
const AUDIO_KBPS: u32 = 128;

/// What egresses push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoProfile {
    /// Its section in the settings.
    pub section: &'static str,
    pub width: u32,
    pub height: u32,
    /// Video and audio.
    pub kbps: u32,
}

/// `[agora]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgoraSettings {
    pub app_id: String,
    pub app_certificate: SecretString,
    /// For the REST API.
    pub customer_id: String,
    pub customer_secret: SecretString,
    #[serde(deserialize_with = "super::load::base_url")]
    pub api_base_url: String,
    /// Tried in order.
    #[serde(deserialize_with = "super::load::base_urls")]
    pub fallback_base_urls: Vec<String>,
    pub backend: AgoraBackend,
    /// Empty: the endpoint is off.
    pub webhook_secrets: Vec<SecretString>,
    /// A 404 means *unknown* until these waits are used up (`agora.md §8.3`).
    #[serde(deserialize_with = "super::load::durations")]
    pub not_found_backoff: Vec<Duration>,
    pub channel_requests_per_second: u32,
    pub cloud_recording: CloudRecordingSettings,
    pub media_push: MediaPushSettings,
}

impl Default for AgoraSettings {
    fn default() -> Self {
        Self {
            app_id: String::new(),
            app_certificate: SecretString::default(),
            customer_id: String::new(),
            customer_secret: SecretString::default(),
            api_base_url: "https://api.agora.io".into(),
            fallback_base_urls: vec!["https://api.sd-rtn.com".into()],
            backend: AgoraBackend::CloudRecording,
            webhook_secrets: Vec::new(),
            not_found_backoff: [5, 10, 15, 30, 60].map(Duration::from_secs).to_vec(),
            channel_requests_per_second: 20,
            cloud_recording: CloudRecordingSettings::default(),
            media_push: MediaPushSettings::default(),
        }
    }
}

/// The egress product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgoraBackend {
    /// A web-mode Cloud Recording task that records and pushes our page.
    CloudRecording,
    MediaPush,
}

impl AgoraSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.credential("agora.app_id", &self.app_id);
        report.credential(
            "agora.app_certificate",
            self.app_certificate.expose_secret(),
        );
        report.credential("agora.customer_id", &self.customer_id);
        report.credential(
            "agora.customer_secret",
            self.customer_secret.expose_secret(),
        );
        report.base_url("agora.api_base_url", &self.api_base_url);
        for url in &self.fallback_base_urls {
            report.base_url("agora.fallback_base_urls", url);
        }
        report.secrets("agora.webhook_secrets", &self.webhook_secrets);
        if self.not_found_backoff.is_empty() {
            report.note(
                "agora.not_found_backoff",
                "needs at least one wait: one 404 during a fail-over is no proof",
            );
        }
        for wait in &self.not_found_backoff {
            report.positive("agora.not_found_backoff", *wait);
        }
        report.within(
            "agora.channel_requests_per_second",
            self.channel_requests_per_second,
            1..=u32::MAX,
            "",
        );
        self.cloud_recording.check(report);
        self.media_push.check(report);
    }

    /// What the egresses of the chosen backend push. `None`: the seller's own video.
    #[must_use]
    pub fn video(&self) -> Option<VideoProfile> {
        let (recording, push) = (&self.cloud_recording.video, &self.media_push.video);
        match (self.backend, self.media_push.mode) {
            (AgoraBackend::CloudRecording, _) => Some(VideoProfile {
                section: "agora.cloud_recording.video",
                width: recording.width,
                height: recording.height,
                kbps: recording.bitrate_kbps.saturating_add(AUDIO_KBPS),
            }),
            (AgoraBackend::MediaPush, MediaPushMode::Transcoded) => Some(VideoProfile {
                section: "agora.media_push.video",
                width: push.width,
                height: push.height,
                kbps: push.bitrate_kbps,
            }),
            (AgoraBackend::MediaPush, MediaPushMode::Raw) => None,
        }
    }

    pub(super) fn warn(&self, report: &mut SettingsReport) {
        let odd = |text: &str| {
            !text.is_empty() && (text.len() != 32 || !text.chars().all(|c| c.is_ascii_hexdigit()))
        };
        if odd(&self.app_id) {
            report.note(
                "agora.app_id",
                "is not 32 hexadecimal digits, as Agora's are",
            );
        }
        if odd(self.app_certificate.expose_secret()) {
            report.note(
                "agora.app_certificate",
                "is not 32 hexadecimal digits, as Agora's are",
            );
        }
        if self.backend == AgoraBackend::CloudRecording {
            self.cloud_recording.warn(report);
        }
    }
}
