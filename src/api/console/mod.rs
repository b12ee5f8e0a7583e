//! The console: pages for operators, made here, with a little script that keeps them up to date and asks before it acts.
//!
//! A page needs an admin token, or the session that one opens ([`session`]). What a page does goes through the same
//! routes as everybody's: `/v1`, and `/admin` for machines.

mod advice;
mod assets;
mod attempts;
mod history;
mod now;
mod picture;
mod plot;
mod relay;
mod relays;
mod rows;
mod say;
mod session;
mod sign_in;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, COOKIE, HeaderMap, HeaderName, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, ResponseError as _, guard, web};
use askama::Template;
use chrono::{DateTime, Utc};
use url::Url;

use super::Api;
use super::problem::Problem;
use super::routes::{reading, refuse};
use crate::config::Settings;
use crate::store::StoreError;
use attempts::Attempts;
pub(super) use session::Session;
use session::Sessions;

/// Where a browser without a token is led.
pub(super) const SIGN_IN: &str = "/admin/sign-in";
const SIGN_OUT: &str = "/admin/sign-out";
/// Carries a session's token against forged requests.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// Cloudflare's hosts, from which pictures, manifests and its player come.
const STREAM_HOSTS: &str = "https://*.cloudflarestream.com https://*.videodelivery.net";

/// Between two readings of what was signed out elsewhere, and after one that failed.
const SIGN_OUTS_EVERY: Duration = Duration::from_secs(5);
const SIGN_OUTS_AGAIN: Duration = Duration::from_millis(200);

/// What the console keeps.
pub(super) struct Console {
    sessions: Sessions,
    /// Whether browsers come over HTTPS, by the settings.
    is_https: bool,
    attempts: Attempts,
    policy: String,
}

impl Console {
    pub(super) fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        Self {
            sessions: Sessions::new(&settings.auth.admin_tokens, now),
            is_https: settings.server.public_url.starts_with("https://")
                || !settings.server.tls_certificate.as_os_str().is_empty(),
            attempts: Attempts::new(),
            policy: policy(&settings.cloudflare.customer_base_url),
        }
    }
}

impl Console {
    /// Whether a cookie of this name is a session's. Where everybody comes over HTTPS, none other than HTTPS's own is.
    fn is_session(&self, name: &str) -> bool {
        name == session::SECURE_COOKIE || (name == session::COOKIE && !self.is_https)
    }
}

impl Api {
    /// Stores what was signed out here, and reads what was elsewhere, as long as it runs.
    pub async fn share_sign_outs(&self) {
        loop {
            let pause = match self.share_sign_outs_once().await {
                Ok(()) => SIGN_OUTS_EVERY,
                Err(error) => {
                    tracing::debug!(%error, "sign-outs were not stored or read; tried again");
                    SIGN_OUTS_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn share_sign_outs_once(&self) -> Result<(), StoreError> {
        self.store_sign_outs().await?;
        let now = self.now();
        let stored = self.store.ended_sessions(now).await?;
        self.console.sessions.read(stored, now);
        Ok(())
    }

    async fn store_sign_outs(&self) -> Result<(), StoreError> {
        for ended in self.console.sessions.unsaved() {
            self.store.end_session(ended.clone(), self.now()).await?;
            self.console.sessions.saved(&ended);
        }
        Ok(())
    }
}

/// Nothing comes from anywhere but here, except pictures and videos from where Cloudflare keeps them.
fn policy(customer_base_url: &str) -> String {
    let customer = Url::parse(customer_base_url).ok();
    let customer = customer.map(|url| url.origin().ascii_serialization());
    let hosts = format!("{STREAM_HOSTS} {}", customer.unwrap_or_default());
    let hosts = hosts.trim_end();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {hosts}; img-src 'self' {hosts}; \
         media-src 'self' blob: {hosts}; frame-src {hosts}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// What may be read without a token.
pub(super) fn is_open(path: &str) -> bool {
    path == SIGN_IN || path.starts_with("/admin/assets/")
}

/// Forms whose handlers look for the token against forgery in the form.
pub(super) fn checks_itself(path: &str) -> bool {
    path == SIGN_OUT
}

/// The most of a sign-in's body, which is read before anybody has shown a token.
const SIGN_IN_LIMIT: usize = 8 * 1024;

/// The routes, inside `/admin`. They are pages for people, no part of the contract: the OpenAPI document leaves them out.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let read = || guard::Any(guard::Get()).or(guard::Head());
    config
        .service(reading("", now::page))
        .service(reading("/relays", relays::page))
        .service(reading("/relays/{relay_id}", relay::page))
        .service(reading("/history", history::page))
        .service(reading("/history/days.csv", history::days_csv))
        .service(reading("/history/channels.csv", history::channels_csv))
        .service(
            web::resource("/sign-in")
                .app_data(web::PayloadConfig::new(SIGN_IN_LIMIT))
                .route(web::route().guard(read()).to(sign_in::page))
                .route(web::post().to(sign_in::sign_in))
                .default_service(web::to(|| refuse("GET, HEAD, POST"))),
        )
        .service(
            web::resource("/sign-out")
                .route(web::post().to(sign_in::sign_out))
                .default_service(web::to(|| refuse("POST"))),
        )
        .service(reading("/assets/{name}", assets::asset));
}

/// What every page shows around what it is about.
pub(super) struct Frame {
    /// Which entry of the navigation this is.
    here: &'static str,
    /// Empty when the page was asked for with a bearer token.
    csrf: String,
    node: String,
    version: &'static str,
    acting: bool,
}

impl Api {
    /// The session these headers carry.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .find_map(|value| self.console.sessions.find(value, now))
    }

    /// All sessions these headers carry: a browser may have a cookie of each name.
    fn all_sessions(&self, headers: &HeaderMap) -> Vec<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .filter_map(|value| self.console.sessions.find(value, now))
            .collect()
    }

    /// The values of the session cookies among these headers.
    fn session_cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let cookies = headers
            .get_all(COOKIE)
            .filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter(|(name, _)| self.console.is_session(name))
            .map(|(_, value)| value)
    }

    fn frame(&self, here: &'static str, headers: &HeaderMap) -> Frame {
        Frame {
            here,
            csrf: self
                .session(headers)
                .map(|session| session.csrf)
                .unwrap_or_default(),
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION"),
            acting: self.acts(),
        }
    }
}

#[derive(Template)]
#[template(path = "console/failure.html")]
struct Failure {
    frame: Frame,
    title: String,
    detail: String,
}

/// A page.
fn page(api: &Api, status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, api.console.policy.as_str()))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .body(text),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Problem::internal().error_response()
        }
    }
}

/// The page, or one that says why there is none.
fn page_or<T: Template>(api: &Api, headers: &HeaderMap, made: Result<T, Problem>) -> HttpResponse {
    match made {
        Ok(template) => page(api, StatusCode::OK, &template),
        Err(problem) => {
            let status = problem.status_code();
            let failure = Failure {
                frame: api.frame("", headers),
                title: status.canonical_reason().unwrap_or("Error").to_owned(),
                detail: problem.detail().to_owned(),
            };
            page(api, status, &failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_nothing_in_that_stands_in_the_page_itself() {
        for host in ["", "https://customer-x.cloudflarestream.com/"] {
            let policy = policy(host);
            assert!(!policy.contains("unsafe"), "{policy}");
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
        }
        assert!(policy("http://127.0.0.1:99").contains("media-src 'self' blob: https://*.cloudflarestream.com https://*.videodelivery.net http://127.0.0.1:99;"));
    }
}
