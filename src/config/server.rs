//! How this service is reached, where it keeps its state and who may call it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::database_url::{DatabaseKind, DatabaseUrl};
use super::network::Network;
use super::problem::SettingsReport;

/// A token shorter than this may be guessed.
const SHORT_TOKEN: usize = 16;

/// `[server]`: how this service is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on.
    pub bind: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// How vendors' webhooks and Agora's cloud browser reach this service; empty when they cannot.
    #[serde(deserialize_with = "super::load::base_url")]
    pub public_url: String,
    /// How long requests in flight may take to finish after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// How long a request's head may take to arrive, and its body.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Requests a second for each token; 0: no limit.
    pub requests_per_second: u32,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once of one address on which no valid token was shown; an IPv6 /64 is one address.
    pub connections_per_address: u32,
    /// The origins whose pages may call from a browser: `https://shop.example`.
    pub cors_origins: Vec<String>,
    /// The proxies in front, as addresses or ranges: `10.0.0.0/8`. Only these are believed in `X-Forwarded-For` and `Forwarded`.
    pub trusted_proxies: Vec<String>,
    /// A certificate chain in PEM: then only TLS is spoken. Empty: TLS is for what stands in front.
    pub tls_certificate: PathBuf,
    /// Its key, in PEM.
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

/// `[database]`: where state is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `sqlite://…` or `postgres://…`. May hold a password, so it is a secret.
    pub url: SecretString,
    /// How long a relay's journal is kept after its end.
    #[serde(with = "humantime_serde")]
    pub journal_retention: Duration,
    /// The most connections that read, for the API's lists and the console; one more writes.
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
    /// Tokens that reach `/v1` and `/trpc`.
    pub api_tokens: Vec<SecretString>,
    /// Tokens that reach those and `/admin`.
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
            // As a browser writes it: scheme and host, and a port only if it is not the usual one.
            let url = url::Url::parse(origin).ok();
            if url.is_none_or(|url| url.origin().ascii_serialization() != *origin) {
                report.note(
                    "server.cors_origins",
                    format!("holds {origin:?}, which is no origin such as https://shop.example"),
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
                "and server.tls_key are set together, or not at all",
            );
        }
    }
}

impl DatabaseSettings {
    /// Whether it is SQLite in memory: gone with the process.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        let url = DatabaseUrl::parse(self.url.expose_secret());
        url.is_ok_and(|url| url.kind == DatabaseKind::Memory)
    }

    /// Whether SQLite's file is to be there already: the URL says how it is opened, and not that it may be made.
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
    pub(super) fn doubts(&self, report: &mut SettingsReport) {
        let url = DatabaseUrl::parse(self.url.expose_secret());
        for doubt in url.into_iter().flat_map(|url| url.doubts) {
            report.note("database.url", doubt);
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
            let is_short = |token: &SecretString| trimmed(token).chars().count() < SHORT_TOKEN;
            if tokens.iter().any(is_short) {
                report.note(
                    key,
                    format!("holds a token of less than {SHORT_TOKEN} characters, which may be guessed: make one with `openssl rand -hex 32`"),
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
