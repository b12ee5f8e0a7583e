//! Checks that span several sections.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::problem::{MissingSetting, SettingsError, SettingsProblem, SettingsReport};
use super::{AgoraBackend, Settings};

/// By this much a converter must outlive the relay's waits.
const IDLE_MARGIN: Duration = Duration::from_secs(30);

impl Settings {
    /// Rejects values out of range and contradictions, all at once. [`Settings::load`] calls it.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let mut report = SettingsReport::default();
        self.server.check(&mut report);
        self.database.check(&mut report);
        self.runtime.check(&mut report);
        self.fleet.check(&mut report);
        self.auth.check(&mut report);
        self.relay.check(&mut report);
        self.janitor.check(&mut report);
        self.vendors.check(&mut report);
        self.check_platforms(&mut report);
        self.agora.check(&mut report);
        self.pricing.check(&mut report);
        self.webhooks.check(&mut report);
        self.telemetry.check(&mut report);
        self.check_idle_timeout(&mut report);
        if report.problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError::Refused {
                problems: report.problems,
            })
        }
    }

    /// A converter in an empty channel must not destroy itself while its relay waits for the seller.
    fn check_idle_timeout(&self, report: &mut SettingsReport) {
        if self.agora.backend != AgoraBackend::MediaPush {
            return;
        }
        let longest = self.relay.live_timeout.max(self.relay.reconnect_window);
        if self.agora.media_push.idle_timeout < longest.saturating_add(IDLE_MARGIN) {
            let wait = humantime::format_duration(longest);
            report.note(
                "agora.media_push.idle_timeout",
                format!("must exceed relay.live_timeout and relay.reconnect_window (the longer: {wait}) by 30s"),
            );
        }
    }

    /// Warnings for `check` and the startup log.
    #[must_use]
    pub fn warnings(&self) -> Vec<SettingsProblem> {
        let mut report = SettingsReport::default();
        self.database.warn(&mut report);
        self.agora.warn(&mut report);
        self.webhooks.warn(&mut report);
        self.telemetry.warn(&mut report);
        if self.agora.backend == AgoraBackend::CloudRecording {
            let hours = self.recording_hours();
            let most = self.agora.cloud_recording.max_recording_hours;
            if hours > u64::from(most) {
                report.note(
                    "agora.cloud_recording.max_recording_hours",
                    format!("a relay of relay.max_duration needs {hours} h; Agora ends its egress after {most} h"),
                );
            }
        }
        report.problems
    }

    /// The `maxRecordingHour` of a relay of `relay.max_duration`.
    fn recording_hours(&self) -> u64 {
        self.relay
            .max_duration
            .saturating_add(self.relay.live_timeout)
            .saturating_add(Duration::from_secs(600))
            .as_secs()
            .div_ceil(3600)
    }

    /// The unset settings without which `serve` does not start.
    #[must_use]
    pub fn missing_for_serve(&self) -> Vec<MissingSetting> {
        let unset = |secret: &SecretString| secret.expose_secret().is_empty();
        let recording = &self.agora.cloud_recording;
        let (agora, auth) = (&self.agora, &self.auth);
        let mut needed = vec![
            (
                auth.api_tokens.is_empty(),
                "auth.api_tokens",
                "the token that the marketplace calls /v1 with: create one, for example with `openssl rand -hex 32`",
            ),
            (
                auth.admin_tokens.is_empty(),
                "auth.admin_tokens",
                "the token that operators call /admin with: create another one",
            ),
        ];
        needed.extend(self.needed_for_platforms());
        needed.extend([
            (
                agora.app_id.is_empty(),
                "agora.app_id",
                "the App ID of the project the sellers' channels belong to: Agora Console, the project's page",
            ),
            (
                agora.customer_id.is_empty(),
                "agora.customer_id",
                "the id that signs in to Agora's REST API, of the account that owns the App ID: Agora Console, RESTful API",
            ),
            (
                unset(&agora.customer_secret),
                "agora.customer_secret",
                "the secret that belongs to that id; the Console lets you download it once",
            ),
        ]);
        if agora.backend == AgoraBackend::CloudRecording {
            needed.extend([
                (
                    recording.page_url.is_empty() && self.server.public_url.is_empty(),
                    "server.public_url",
                    "where Agora's cloud browser reaches this service, to open the page it records; or set \
                     agora.cloud_recording.page_url to a page of your own",
                ),
                (
                    recording.storage.bucket.is_empty(),
                    "agora.cloud_recording.storage.bucket",
                    "the bucket Agora uploads its own copy to, which web mode always does: give it a rule that deletes files after 1 day",
                ),
                (
                    unset(&recording.storage.access_key),
                    "agora.cloud_recording.storage.access_key",
                    "an access key that may write to that bucket, from the storage vendor",
                ),
                (
                    unset(&recording.storage.secret_key),
                    "agora.cloud_recording.storage.secret_key",
                    "the secret that belongs to that access key",
                ),
            ]);
        }
        needed
            .into_iter()
            .filter(|(missing, ..)| *missing)
            .map(|(_, key, how)| MissingSetting::new(key, how))
            .collect()
    }
}
