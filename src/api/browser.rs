//! Callers with a browser: the session cookies that stand for an admin token, and the pages they begin and end at.

use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap, HeaderName};

use super::Api;
use super::session::{self, Session};
use crate::store::StoreError;

/// Where a browser without a token is redirected.
pub(crate) const SIGN_IN: &str = "/admin/sign-in";
const SIGN_OUT: &str = "/admin/sign-out";
/// Carries a session's token against forged requests.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// Between two readings of the sign-outs in other processes, and after a reading that failed.
const SIGN_OUTS_EVERY: Duration = Duration::from_secs(5);
const SIGN_OUTS_AGAIN: Duration = Duration::from_millis(200);

/// Whether this path below `/admin` is open to callers without a token.
pub(super) fn is_open(path: &str) -> bool {
    path == SIGN_IN || path.starts_with("/admin/assets/")
}

/// Forms whose handlers look for the token against forgery in the form.
pub(super) fn checks_itself(path: &str) -> bool {
    path == SIGN_OUT
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
        self.sessions.read(stored, now);
        Ok(())
    }

    /// Stores the sign-outs that are not stored yet.
    pub(crate) async fn store_sign_outs(&self) -> Result<(), StoreError> {
        for ended in self.sessions.unsaved() {
            self.store.end_session(ended.clone(), self.now()).await?;
            self.sessions.saved(&ended);
        }
        Ok(())
    }

    /// The session these headers carry.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .find_map(|value| self.sessions.find(value, now))
    }

    /// All sessions these headers carry: a browser may have a cookie of each name.
    pub(crate) fn all_sessions(&self, headers: &HeaderMap) -> Vec<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .filter_map(|value| self.sessions.find(value, now))
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
            .filter(|(name, _)| self.is_session_cookie(name))
            .map(|(_, value)| value)
    }

    /// Whether a cookie of this name is a session's. Where every browser comes over HTTPS, only HTTPS's own name is.
    fn is_session_cookie(&self, name: &str) -> bool {
        name == session::SECURE_COOKIE || (name == session::COOKIE && !self.is_https)
    }
}
