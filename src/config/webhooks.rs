//! Webhooks to the marketplace.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::Report;

/// `[webhooks]`: to the marketplace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// The marketplace's receiver; empty: none.
    pub endpoint: String,
    /// `whsec_…`; the first signs.
    pub secrets: Vec<SecretString>,
    /// Let the endpoint be a private or loopback address.
    pub allow_private: bool,
}

impl Webhooks {
    pub(super) fn check(&self, report: &mut Report) {
        if !self.endpoint.is_empty() {
            report.http_url("webhooks.endpoint", &self.endpoint);
            if self.secrets.is_empty() {
                report.note(
                    "webhooks.secrets",
                    "needs a secret to sign with, as webhooks.endpoint is set",
                );
            }
        }
        report.secrets("webhooks.secrets", &self.secrets);
    }

    pub(super) fn doubts(&self, report: &mut Report) {
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
