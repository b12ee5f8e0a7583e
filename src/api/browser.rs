use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap, HeaderName};

use super::Api;
use super::session::{self, Session};
use crate::store::StoreError;

pub(crate) const SIGN_IN: &str = "/admin/sign-in";
const SIGN_OUT: &str = "/admin/sign-out";
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// Interval of reads of other nodes' sign-outs.
const SIGN_OUTS_EVERY: Duration = Duration::from_secs(5);
const SIGN_OUTS_AGAIN: Duration = Duration::from_millis(200);

/// Whether this path below `/admin` needs no token.
pub(super) fn is_open(path: &str) -> bool {
    path == SIGN_IN || path.starts_with("/admin/assets/")
}

/// The handler checks the token in the form: a form cannot send `X-CSRF-Token`.
pub(super) fn checks_csrf_itself(path: &str) -> bool {
    path == SIGN_OUT
}

impl Api {
    /// Stores this node's sign-outs and reads the other nodes', forever.
    pub async fn share_sign_outs(&self) {
        loop {
            let pause = match self.share_sign_outs_once().await {
                Ok(()) => SIGN_OUTS_EVERY,
                Err(error) => {
                    tracing::debug!(%error, "syncing sign-outs failed; retrying");
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

    pub(crate) async fn store_sign_outs(&self) -> Result<(), StoreError> {
        for ended in self.sessions.unsaved() {
            self.store.end_session(ended.clone(), self.now()).await?;
            self.sessions.saved(&ended);
        }
        Ok(())
    }

    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .find_map(|value| self.sessions.find(value, now))
    }

    /// A browser may send a cookie of each name.
    pub(crate) fn all_sessions(&self, headers: &HeaderMap) -> Vec<Session> {
        let now = self.now();
        self.session_cookies(headers)
            .filter_map(|value| self.sessions.find(value, now))
            .collect()
    }

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

    /// The plain HTTP cookie does not count if the service is reached over HTTPS only.
    fn is_session_cookie(&self, name: &str) -> bool {
        name == session::SECURE_COOKIE || (name == session::COOKIE && !self.is_https)
    }
}
