//! Webhooks to the marketplace.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;

/// `[webhooks]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksSettings {
    /// Not logged: its path may be secret.
    pub endpoint: String,
    pub secrets: Vec<SecretString>,
    pub allow_private: bool,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for WebhooksSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            secrets: Vec::new(),
            allow_private: false,
            timeout: Duration::from_secs(15),
        }
    }
}

impl WebhooksSettings {
    /// The first secret's key, if the secret is valid.
    #[must_use]
    pub fn signing_key(&self) -> Option<SecretSlice<u8>> {
        key(self.secrets.first()?).map(Into::into)
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        if !self.endpoint.is_empty() {
            report.http_url("webhooks.endpoint", &self.endpoint);
            if self.secrets.is_empty() {
                report.note(
                    "webhooks.secrets",
                    "needs a secret to sign with, as webhooks.endpoint is set",
                );
            }
            if self.secrets.iter().any(|secret| key(secret).is_none()) {
                report.note(
                    "webhooks.secrets",
                    "holds one that is not whsec_ followed by a key in base64",
                );
            }
        }
        report.secrets("webhooks.secrets", &self.secrets);
        report.positive("webhooks.timeout", self.timeout);
    }

    pub(super) fn warn(&self, report: &mut SettingsReport) {
        for secret in &self.secrets {
            let Some(key) = secret.expose_secret().strip_prefix("whsec_") else {
                report.note(
                    "webhooks.secrets",
                    "holds one that does not begin with whsec_",
                );
                continue;
            };
            if !STANDARD
                .decode(key)
                .is_ok_and(|key| (24..=64).contains(&key.len()))
            {
                report.note(
                    "webhooks.secrets",
                    "holds one that is not 24 to 64 bytes in base64 after whsec_",
                );
            }
        }
    }
}

/// Decodes the part after `whsec_`.
fn key(secret: &SecretString) -> Option<Vec<u8>> {
    let text = secret.expose_secret().strip_prefix("whsec_")?;
    STANDARD.decode(text).ok().filter(|key| !key.is_empty())
}
