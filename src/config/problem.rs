//! Problems with the settings. Messages never contain a value that may be secret.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::environment::variable;

/// Far below the overflow of calendars.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The line, if known.
    File(PathBuf, Option<usize>),
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, Some(line)) => write!(f, "{}, line {line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "{name}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// `relay.poll_interval`.
    pub key: String,
    /// `None`: a default.
    pub origin: Option<Origin>,
    /// Never contains a secret.
    pub message: String,
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}): {}", self.key, self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSetting {
    /// `agora.app_id`.
    pub key: &'static str,
    /// `AGORA_APP_ID`.
    pub env: String,
    /// What it is for and where to get it.
    pub how: &'static str,
}

impl MissingSetting {
    pub(super) fn new(key: &'static str, how: &'static str) -> Self {
        Self {
            key,
            env: variable(key),
            how,
        }
    }
}

impl fmt::Display for MissingSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.env, self.how)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Omits the line itself, which may contain a secret.
    #[error("the settings file {}{} is not TOML: {message}", path.display(), line.map(|line| format!(", line {line},")).unwrap_or_default())]
    Syntax {
        path: PathBuf,
        /// Counted from 1.
        line: Option<usize>,
        message: String,
    },
    /// Keys that are unknown, of the wrong type, out of range or contradictory.
    #[error("{} wrong with the settings:{}", if problems.len() == 1 { "one thing is" } else { "some things are" }, lines(problems))]
    Refused { problems: Vec<SettingsProblem> },
}

fn lines(problems: &[SettingsProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

#[derive(Debug, Default)]
pub(super) struct SettingsReport {
    pub(super) problems: Vec<SettingsProblem>,
}

impl SettingsReport {
    pub(super) fn note(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(SettingsProblem {
            key: key.to_owned(),
            origin: None,
            message: message.into(),
        });
    }

    pub(super) fn within(&mut self, key: &str, value: u32, range: RangeInclusive<u32>, unit: &str) {
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            let message = if most == u32::MAX {
                format!("must be at least {least}{unit}, not {value}")
            } else {
                format!("must be {least} to {most}{unit}, not {value}")
            };
            self.note(key, message);
        }
    }

    /// Agora's limits: sides of `least` to 1920 pixels, and at most the area of 1920 × 1080.
    pub(super) fn resolution(&mut self, section: &str, width: u32, height: u32, least: u32) {
        self.within(&format!("{section}.width"), width, least..=1920, " pixels");
        self.within(
            &format!("{section}.height"),
            height,
            least..=1920,
            " pixels",
        );
        if u64::from(width) * u64::from(height) > 1920 * 1080 {
            self.note(
                &format!("{section}.height"),
                "with the width makes more than 1920 x 1080 pixels",
            );
        }
    }

    pub(super) fn positive(&mut self, key: &str, value: Duration) {
        if value.is_zero() {
            self.note(key, "must be longer than zero");
        }
        self.bounded(key, value);
    }

    /// Allows zero.
    pub(super) fn bounded(&mut self, key: &str, value: Duration) {
        if value > MAX_DURATION {
            self.note(key, "must not be longer than 100 years");
        }
    }

    /// Requires an HTTP(S) URL without credentials.
    pub(super) fn http_url(&mut self, key: &str, text: &str) {
        let Ok(url) = url::Url::parse(text) else {
            self.note(key, "is not a URL such as https://example.com");
            return;
        };
        if !matches!(url.scheme(), "http" | "https") {
            self.note(key, "must begin with http:// or https://");
        } else if !url.username().is_empty() || url.password().is_some() {
            self.note(key, "must not hold a user name or password");
        }
    }

    /// Requires an HTTP(S) URL without query and fragment: paths are appended.
    pub(super) fn base_url(&mut self, key: &str, text: &str) {
        self.http_url(key, text);
        if text.contains(['?', '#']) {
            self.note(key, "must not hold a query or a fragment");
        }
    }

    /// Rejects whitespace and control characters, which copying leaves behind.
    pub(super) fn credential(&mut self, key: &str, text: &str) {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.note(key, "holds a blank, a line end or a control character");
        }
    }

    /// Rejects empty entries, which would match an empty token.
    pub(super) fn secrets(&mut self, key: &str, secrets: &[SecretString]) {
        for secret in secrets {
            if secret.expose_secret().is_empty() {
                self.note(key, "must not hold an empty entry");
            }
            self.credential(key, secret.expose_secret());
        }
    }
}
