//! The API server, its database and its tokens.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::database_url::{DatabaseKind, DatabaseUrl};
use super::network::Network;
use super::problem::SettingsReport;

const MIN_TOKEN_CHARACTERS: usize = 16;

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    pub bind: String,
    /// 0: any free port.
    pub port: u16,
    /// Empty: vendors cannot reach this service.
    #[serde(deserialize_with = "super::load::base_url")]
    pub public_url: String,
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    pub requests_per_second: u32,
    pub max_connections: u32,
    pub connections_per_address: u32,
    pub cors_origins: Vec<String>,
    /// Their `Forwarded` is trusted, too.
    pub trusted_proxies: Vec<String>,
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1".into(),
            port: 8080,
            public_url: String::new(),
            shutdown_grace: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            requests_per_second: 5000,
            max_connections: 20_000,
            connections_per_address: 1000,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
        }
    }
}

/// `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    pub url: SecretString,
    #[serde(with = "humantime_serde")]
    pub journal_retention: Duration,
    pub read_connections: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: "sqlite://relaykeeper.db".into(),
            journal_retention: Duration::from_secs(90 * 24 * 3600),
            read_connections: 8,
        }
    }
}

/// `[auth]`: bearer tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Tokens for `/v1` and `/trpc`.
    pub api_tokens: Vec<SecretString>,
    /// Tokens for these and `/admin`.
    pub admin_tokens: Vec<SecretString>,
}

impl ServerSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        if self.bind.trim().is_empty() {
            report.note(
                "server.bind",
                "must name an address, such as 127.0.0.1 or 0.0.0.0",
            );
        }
        if !self.public_url.is_empty() {
            report.base_url("server.public_url", &self.public_url);
            let path = url::Url::parse(&self.public_url).map(|url| url.path().to_owned());
            if path.is_ok_and(|path| path != "/") {
                report.note(
                    "server.public_url",
                    "must not hold a path: the console and its redirects stand at the root of a host",
                );
            }
        }
        report.bounded("server.shutdown_grace", self.shutdown_grace);
        report.positive("server.request_timeout", self.request_timeout);
        report.within(
            "server.max_connections",
            self.max_connections,
            1..=u32::MAX,
            "",
        );
        report.within(
            "server.connections_per_address",
            self.connections_per_address,
            1..=u32::MAX,
            "",
        );
        for origin in &self.cors_origins {
            // Browsers send scheme, host and a non-default port only.
            let url = url::Url::parse(origin).ok();
            if url.is_none_or(|url| url.origin().ascii_serialization() != *origin) {
                report.note(
                    "server.cors_origins",
                    format!(
                        "holds {origin:?}, which is not an origin such as https://shop.example"
                    ),
                );
            }
        }
        for proxy in &self.trusted_proxies {
            if let Err(error) = proxy.parse::<Network>() {
                report.note(
                    "server.trusted_proxies",
                    format!("holds {proxy:?}, which is {error}"),
                );
            }
        }
        if self.tls_certificate.as_os_str().is_empty() != self.tls_key.as_os_str().is_empty() {
            report.note(
                "server.tls_certificate",
                "must be set together with server.tls_key",
            );
        }
    }
}

impl DatabaseSettings {
    /// Whether the database is SQLite in memory, which a restart loses.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        let url = DatabaseUrl::parse(self.url.expose_secret());
        url.is_ok_and(|url| url.kind == DatabaseKind::Memory)
    }

    /// Whether the SQLite file must exist: the URL has a mode other than `rwc`.
    pub(crate) fn must_exist(&self) -> bool {
        let url = DatabaseUrl::parse(self.url.expose_secret());
        url.is_ok_and(|url| !url.may_be_made)
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        if let Err(message) = DatabaseUrl::parse(self.url.expose_secret()) {
            report.note("database.url", message);
        }
        report.bounded("database.journal_retention", self.journal_retention);
        report.within(
            "database.read_connections",
            self.read_connections,
            1..=1000,
            "",
        );
    }
}

impl DatabaseSettings {
    pub(super) fn warn(&self, report: &mut SettingsReport) {
        let url = DatabaseUrl::parse(self.url.expose_secret());
        for warning in url.into_iter().flat_map(|url| url.warnings) {
            report.note("database.url", warning);
        }
    }
}

impl AuthSettings {
    pub(super) fn check(&self, report: &mut SettingsReport) {
        report.secrets("auth.api_tokens", &self.api_tokens);
        report.secrets("auth.admin_tokens", &self.admin_tokens);
        for (key, tokens) in [
            ("auth.api_tokens", &self.api_tokens),
            ("auth.admin_tokens", &self.admin_tokens),
        ] {
            let is_short =
                |token: &SecretString| trimmed(token).chars().count() < MIN_TOKEN_CHARACTERS;
            if tokens.iter().any(is_short) {
                report.note(
                    key,
                    format!("holds a token of less than {MIN_TOKEN_CHARACTERS} characters, which may be guessed: make one with `openssl rand -hex 32`"),
                );
            }
        }
        let is_admin = |api: &SecretString| {
            let mut admins = self.admin_tokens.iter();
            admins.any(|admin| trimmed(admin) == trimmed(api))
        };
        if self.api_tokens.iter().any(is_admin) {
            report.note(
                "auth.admin_tokens",
                "holds a token that is in auth.api_tokens as well: the marketplace would be an operator",
            );
        }
    }
}

fn trimmed(token: &SecretString) -> &str {
    token.expose_secret().trim()
}
