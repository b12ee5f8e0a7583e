//! Amazon IVS.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::problem::SettingsReport;

/// `[ivs]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IvsSettings {
    pub region: String,
    pub credentials: IvsCredentials,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    #[serde(deserialize_with = "super::load::base_url")]
    pub api_base_url: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub playback_base_url: String,
    pub channel_type: IvsChannelType,
    pub recording_configuration_arn: String,
    pub recording_bucket: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub s3_endpoint: String,
    #[serde(deserialize_with = "super::load::base_url")]
    pub vod_base_url: String,
    pub webhook_secret: SecretString,
    pub requests_per_second: u32,
    #[serde(with = "humantime_serde")]
    pub recordings_interval: Duration,
}

/// Where the keys come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IvsCredentials {
    /// The settings.
    #[default]
    Keys,
    /// The role of the machine, task or pod.
    Role,
}

/// The type of an IVS channel: what it takes, its renditions and its price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, strum::Display)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum IvsChannelType {
    Basic,
    #[default]
    Standard,
    AdvancedSd,
    AdvancedHd,
}

impl Default for IvsSettings {
    fn default() -> Self {
        Self {
            region: String::new(),
            credentials: IvsCredentials::default(),
            access_key_id: String::new(),
            secret_access_key: SecretString::default(),
            session_token: SecretString::default(),
            api_base_url: String::new(),
            playback_base_url: String::new(),
            channel_type: IvsChannelType::default(),
            recording_configuration_arn: String::new(),
            recording_bucket: String::new(),
            s3_endpoint: String::new(),
            vod_base_url: String::new(),
            webhook_secret: SecretString::default(),
            requests_per_second: 5,
            recordings_interval: Duration::from_secs(20),
        }
    }
}

pub(super) const NAME: &str = "ivs";

pub(super) const SHORT_NAMES: [(&str, &str); 11] = [
    ("AWS_REGION", "ivs.region"),
    ("AWS_ACCESS_KEY_ID", "ivs.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "ivs.secret_access_key"),
    ("AWS_SESSION_TOKEN", "ivs.session_token"),
    ("IVS_API_BASE_URL", "ivs.api_base_url"),
    ("IVS_PLAYBACK_BASE_URL", "ivs.playback_base_url"),
    (
        "IVS_RECORDING_CONFIGURATION_ARN",
        "ivs.recording_configuration_arn",
    ),
    ("IVS_RECORDING_BUCKET", "ivs.recording_bucket"),
    ("IVS_S3_ENDPOINT", "ivs.s3_endpoint"),
    ("IVS_VOD_BASE_URL", "ivs.vod_base_url"),
    ("IVS_WEBHOOK_SECRET", "ivs.webhook_secret"),
];

impl IvsSettings {
    /// Whether there are credentials.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.needed().iter().all(|(is_missing, ..)| !is_missing)
    }

    /// Where the API is.
    #[must_use]
    pub fn api_url(&self) -> String {
        match self.api_base_url.as_str() {
            "" => format!("https://ivs.{}.amazonaws.com", self.region),
            other => other.to_owned(),
        }
    }

    /// Whether channels record.
    #[must_use]
    pub fn records(&self) -> bool {
        !self.recording_configuration_arn.is_empty()
    }

    /// What `serve` needs: whether it is missing, its key, and where to get it.
    pub(super) fn needed(&self) -> [(bool, &'static str, &'static str); 3] {
        let has_role = self.credentials == IvsCredentials::Role;
        [
            (
                !has_role && self.access_key_id.is_empty(),
                "ivs.access_key_id",
                "the id of an access key of an IAM user with the permissions of docs/credentials.md: AWS console, IAM, Users",
            ),
            (
                !has_role && self.secret_access_key.expose_secret().is_empty(),
                "ivs.secret_access_key",
                "the secret of that access key; the console shows it once",
            ),
            (
                self.region.is_empty(),
                "ivs.region",
                "the region of the channels, of the recording configuration and its bucket, for example eu-west-1",
            ),
        ]
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !self.region.chars().all(of_name) {
            report.note("ivs.region", "must be a region's name such as eu-west-1");
        }
        for (key, text) in [
            ("ivs.access_key_id", self.access_key_id.as_str()),
            (
                "ivs.secret_access_key",
                self.secret_access_key.expose_secret(),
            ),
            ("ivs.session_token", self.session_token.expose_secret()),
            ("ivs.recording_bucket", &self.recording_bucket),
            ("ivs.webhook_secret", self.webhook_secret.expose_secret()),
        ] {
            report.credential(key, text);
        }
        for (key, url) in [
            ("ivs.api_base_url", &self.api_base_url),
            ("ivs.playback_base_url", &self.playback_base_url),
            ("ivs.s3_endpoint", &self.s3_endpoint),
            ("ivs.vod_base_url", &self.vod_base_url),
        ] {
            if !url.is_empty() {
                report.base_url(key, url);
            }
        }
        let arn = &self.recording_configuration_arn;
        if self.records() && !(arn.starts_with("arn:") && arn.contains(":recording-configuration/"))
        {
            report.note(
                "ivs.recording_configuration_arn",
                "must be the ARN of a recording configuration",
            );
        }
        for (key, value, needed) in [
            (
                "ivs.recording_bucket",
                &self.recording_bucket,
                (arn, "ivs.recording_configuration_arn"),
            ),
            (
                "ivs.vod_base_url",
                &self.vod_base_url,
                (&self.recording_bucket, "ivs.recording_bucket"),
            ),
        ] {
            if !value.is_empty() && needed.0.is_empty() {
                report.note(key, format!("needs {}", needed.1));
            }
        }
        report.within(
            "ivs.requests_per_second",
            self.requests_per_second,
            1..=u32::MAX,
            "",
        );
        report.positive("ivs.recordings_interval", self.recordings_interval);
    }
}
