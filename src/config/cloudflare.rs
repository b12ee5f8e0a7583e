//! Cloudflare Stream.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;

/// `[cloudflare]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudflareSettings {
    pub account_id: String,
    pub api_token: SecretString,
    #[serde(deserialize_with = "super::load::base_url")]
    pub api_base_url: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub customer_base_url: String,
    pub requests_per_5_minutes: u32,
    pub budget_share: f64,
    pub customer_requests_per_second: u32,
    #[serde(with = "humantime_serde")]
    pub recordings_interval: Duration,
    pub live_webhook_secret: SecretString,
    pub stream_webhook_secret: SecretString,
}

impl Default for CloudflareSettings {
    fn default() -> Self {
        Self {
            account_id: String::new(),
            api_token: SecretString::default(),
            api_base_url: "https://api.cloudflare.com/client/v4".into(),
            customer_base_url: String::new(),
            requests_per_5_minutes: 1200,
            budget_share: 0.8,
            customer_requests_per_second: 200,
            recordings_interval: Duration::from_secs(20),
            live_webhook_secret: SecretString::default(),
            stream_webhook_secret: SecretString::default(),
        }
    }
}

pub(super) const NAME: &str = "cloudflare";

pub(super) const SHORT_NAMES: [(&str, &str); 6] = [
    ("CLOUDFLARE_STREAM_ACCOUNT_ID", "cloudflare.account_id"),
    ("CLOUDFLARE_STREAM_API_TOKEN", "cloudflare.api_token"),
    ("CLOUDFLARE_API_BASE_URL", "cloudflare.api_base_url"),
    (
        "CLOUDFLARE_STREAM_CUSTOMER_BASE_URL",
        "cloudflare.customer_base_url",
    ),
    (
        "CLOUDFLARE_LIVE_WEBHOOK_SECRET",
        "cloudflare.live_webhook_secret",
    ),
    (
        "CLOUDFLARE_STREAM_WEBHOOK_SECRET",
        "cloudflare.stream_webhook_secret",
    ),
];

impl CloudflareSettings {
    /// Whether there are credentials.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.needed().iter().all(|(is_missing, ..)| !is_missing)
    }

    /// What `serve` needs: whether it is missing, its key, and where to get it.
    pub(super) fn needed(&self) -> [(bool, &'static str, &'static str); 2] {
        [
            (
                self.account_id.is_empty(),
                "cloudflare.account_id",
                "the account that uses Stream: Cloudflare dashboard, the account's overview page",
            ),
            (
                self.api_token.expose_secret().is_empty(),
                "cloudflare.api_token",
                "an API token for that account with the permission Stream:Edit: Cloudflare dashboard, My Profile, API Tokens",
            ),
        ]
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.credential("cloudflare.account_id", &self.account_id);
        report.credential("cloudflare.api_token", self.api_token.expose_secret());
        report.base_url("cloudflare.api_base_url", &self.api_base_url);
        if !self.customer_base_url.is_empty() {
            report.base_url("cloudflare.customer_base_url", &self.customer_base_url);
        }
        report.within(
            "cloudflare.requests_per_5_minutes",
            self.requests_per_5_minutes,
            1..=u32::MAX,
            "",
        );
        if !(self.budget_share > 0.0 && self.budget_share <= 1.0) {
            report.note("cloudflare.budget_share", "must be above 0 and at most 1");
        } else if f64::from(self.requests_per_5_minutes) * self.budget_share < 1.0 {
            report.note(
                "cloudflare.budget_share",
                "leaves less than one call in 5 minutes",
            );
        }
        report.within(
            "cloudflare.customer_requests_per_second",
            self.customer_requests_per_second,
            1..=u32::MAX,
            "",
        );
        report.positive("cloudflare.recordings_interval", self.recordings_interval);
        for (key, secret) in [
            ("cloudflare.live_webhook_secret", &self.live_webhook_secret),
            (
                "cloudflare.stream_webhook_secret",
                &self.stream_webhook_secret,
            ),
        ] {
            report.credential(key, secret.expose_secret());
        }
    }
}
