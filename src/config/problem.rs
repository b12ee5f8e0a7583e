//! What is wrong with the settings, told without a setting's value where that may be a secret.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::environment::variable;

/// No duration may be longer: far past any use, and far from where calendars overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A settings file, and the line when it could be told.
    File(PathBuf, Option<usize>),
    /// This environment variable.
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

/// One thing that is wrong, or odd, about one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The setting: `relay.poll_interval`.
    pub key: String,
    /// Where it was set; `None` for a default, and when the settings were not loaded but made.
    pub origin: Option<Origin>,
    /// What is wrong. Never holds a secret.
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

/// A setting that is missing, and how to come by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSetting {
    /// The setting: `cloudflare.api_token`.
    pub key: &'static str,
    /// The environment variable that sets it: `CLOUDFLARE_STREAM_API_TOKEN`.
    pub env: String,
    /// What it is for and where to get it: a sentence.
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

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The settings file is not TOML. The line itself is not shown: it may hold a secret.
    #[error("the settings file {}{} is not TOML: {message}", path.display(), line.map(|line| format!(", line {line},")).unwrap_or_default())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
        /// The parser's own words.
        message: String,
    },
    /// Settings that are unknown, of the wrong type, out of range or in contradiction: all there are.
    #[error("{} wrong with the settings:{}", if problems.len() == 1 { "one thing is" } else { "some things are" }, lines(problems))]
    Refused {
        /// All that is wrong, in the order of the keys.
        problems: Vec<SettingsProblem>,
    },
}

fn lines(problems: &[SettingsProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

/// Collects what is wrong, so that all of it can be told at once.
#[derive(Debug, Default)]
pub(super) struct SettingsReport {
    pub(super) problems: Vec<SettingsProblem>,
}

impl SettingsReport {
    /// Notes what is wrong with `key`.
    pub(super) fn note(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(SettingsProblem {
            key: key.to_owned(),
            origin: None,
            message: message.into(),
        });
    }

    /// A count, size or rate must lie in `range`.
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

    /// A picture's sides must be `least` to 1920 pixels, and its area no more than that of 1920 × 1080.
    pub(super) fn picture(&mut self, section: &str, width: u32, height: u32, least: u32) {
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

    /// A duration must be positive.
    pub(super) fn positive(&mut self, key: &str, value: Duration) {
        if value.is_zero() {
            self.note(key, "must be longer than zero");
        }
        self.bounded(key, value);
    }

    /// A duration may be zero, but not endless.
    pub(super) fn bounded(&mut self, key: &str, value: Duration) {
        if value > LONGEST {
            self.note(key, "must not be longer than 100 years");
        }
    }

    /// An address must be that of a web server, and bear no credentials.
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

    /// As [`SettingsReport::http_url`], and other paths are put behind it: no query, no fragment.
    pub(super) fn base_url(&mut self, key: &str, text: &str) {
        self.http_url(key, text);
        if text.contains(['?', '#']) {
            self.note(key, "must not hold a query or a fragment");
        }
    }

    /// A credential must be free of what copying leaves behind.
    pub(super) fn credential(&mut self, key: &str, text: &str) {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.note(key, "holds a blank, a line end or a control character");
        }
    }

    /// A list of secrets holds no empty one: anybody could present that.
    pub(super) fn secrets(&mut self, key: &str, secrets: &[SecretString]) {
        for secret in secrets {
            if secret.expose_secret().is_empty() {
                self.note(key, "must not hold an empty entry");
            }
            self.credential(key, secret.expose_secret());
        }
    }
}
