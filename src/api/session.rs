//! Console sessions: a cookie signed with a key derived from the admin token survives a restart and ends with the token.
//! Sign-outs are stored until the cookie expires; every node reads them every few seconds.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::store::EndedSession;

pub(crate) const COOKIE: &str = "relaykeeper_session";
/// Over HTTPS. Browsers accept the prefix only with `Secure`, for this host and every path.
pub(crate) const SECURE_COOKIE: &str = "__Host-relaykeeper_session";
pub(crate) const LIFETIME: TimeDelta = TimeDelta::hours(12);

type SessionKey = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The value of `X-CSRF-Token` for this session.
    pub(crate) csrf: String,
    value: String,
    expires: DateTime<Utc>,
}

pub(crate) struct Sessions {
    keys: Vec<SessionKey>,
    /// The process's start. It knows older sign-outs once `is_read`.
    since: DateTime<Utc>,
    ended: Mutex<SignedOut>,
}

#[derive(Default)]
struct SignedOut {
    /// Expiry by the cookie's digest.
    sessions: HashMap<String, DateTime<Utc>>,
    unsaved: Vec<EndedSession>,
    /// Whether the stored sign-outs were read.
    is_read: bool,
}

impl Sessions {
    pub(crate) fn new(admin_tokens: &[SecretString], now: DateTime<Utc>) -> Self {
        let tokens = admin_tokens
            .iter()
            .map(|token| token.expose_secret().trim());
        let tokens = tokens.filter(|token| !token.is_empty());
        Self {
            keys: tokens
                .map(|token| sign(token.as_bytes(), &["relaykeeper console"]))
                .collect(),
            since: now,
            ended: Mutex::default(),
        }
    }

    pub(crate) fn open(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
        let given = sign(token.trim().as_bytes(), &["relaykeeper console"]);
        let known = self.keys.iter().map(|key| key.ct_eq(&given));
        if !bool::from(known.fold(Choice::from(0), |any, same| any | same)) {
            return None;
        }
        let expires = (now + LIFETIME).timestamp().to_string();
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let proof = encode(&sign(&given, &["session", &expires, &nonce]));
        Some(format!("{expires}.{nonce}.{proof}"))
    }

    /// A session that is older than this process is invalid until the stored sign-outs are read.
    pub(crate) fn find(&self, value: &str, now: DateTime<Utc>) -> Option<Session> {
        let mut parts = value.splitn(3, '.');
        let (expires, nonce, proof) = (parts.next()?, parts.next()?, parts.next()?);
        let expires_at = DateTime::from_timestamp(expires.parse().ok()?, 0)?;
        let proof: SessionKey = URL_SAFE_NO_PAD.decode(proof).ok()?.try_into().ok()?;
        let (mut found, mut signer) = (Choice::from(0), SessionKey::default());
        for key in &self.keys {
            let same = sign(key, &["session", expires, nonce]).ct_eq(&proof);
            for (to, from) in signer.iter_mut().zip(key) {
                to.conditional_assign(from, same);
            }
            found |= same;
        }
        if !bool::from(found) || expires_at <= now || self.is_ended(value, expires_at) {
            return None;
        }
        Some(Session {
            csrf: encode(&sign(&signer, &["csrf", value])),
            value: value.to_owned(),
            expires: expires_at,
        })
    }

    fn is_ended(&self, value: &str, expires: DateTime<Utc>) -> bool {
        let ended = self.ended.lock();
        let is_older = expires - LIFETIME < self.since - TimeDelta::seconds(1);
        (is_older && !ended.is_read) || ended.sessions.contains_key(&digest(value))
    }

    /// The caller then stores [`Sessions::unsaved`].
    pub(crate) fn end(&self, session: &Session) {
        let ended = EndedSession {
            session: digest(&session.value),
            expires_at: session.expires,
        };
        let mut all = self.ended.lock();
        all.sessions.insert(ended.session.clone(), ended.expires_at);
        all.unsaved.push(ended);
    }

    pub(crate) fn unsaved(&self) -> Vec<EndedSession> {
        self.ended.lock().unsaved.clone()
    }

    pub(crate) fn saved(&self, ended: &EndedSession) {
        self.ended.lock().unsaved.retain(|one| one != ended);
    }

    pub(crate) fn read(&self, stored: Vec<EndedSession>, now: DateTime<Utc>) {
        let mut all = self.ended.lock();
        all.sessions.retain(|_, expires| *expires > now);
        all.sessions
            .extend(stored.into_iter().map(|one| (one.session, one.expires_at)));
        all.is_read = true;
    }
}

impl Session {
    pub(crate) fn csrf_matches(&self, csrf: &[u8]) -> bool {
        self.csrf.as_bytes().ct_eq(csrf).into()
    }
}

/// The parts must not contain line breaks.
fn sign(key: &[u8], parts: &[&str]) -> SessionKey {
    // Cannot fail: HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return SessionKey::default();
    };
    mac.update(parts.join("\n").as_bytes());
    mac.finalize().into_bytes().into()
}

fn digest(value: &str) -> String {
    encode(&Sha256::digest(value.as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(tokens: &[&str]) -> Sessions {
        let tokens: Vec<SecretString> = tokens.iter().map(|&token| token.into()).collect();
        Sessions::new(&tokens, now())
    }

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_session_lasts_twelve_hours_and_outlives_a_restart() {
        let value = sessions(&["one", "two"]).open("two", now()).unwrap();
        let restarted = sessions(&["two", "one"]);
        assert!(restarted.find(&value, now()).is_some());
        let last = now() + LIFETIME - TimeDelta::seconds(1);
        assert!(restarted.find(&value, last).is_some());
        assert!(restarted.find(&value, now() + LIFETIME).is_none());
    }

    #[test]
    fn only_an_admin_token_opens_a_session() {
        for wrong in ["", "on", "one ", "three"] {
            let opened = sessions(&["one", " "]).open(wrong, now());
            assert_eq!(opened.is_some(), wrong == "one ", "{wrong}");
        }
    }

    #[test]
    fn a_rotated_token_ends_its_sessions() {
        let value = sessions(&["one", "two"]).open("one", now()).unwrap();
        assert!(sessions(&["two"]).find(&value, now()).is_none());
    }

    #[test]
    fn a_session_cannot_be_forged_or_extended() {
        let sessions = sessions(&["one"]);
        let value = sessions.open("one", now()).unwrap();
        let (expires, rest) = value.split_once('.').unwrap();
        let later = format!("{}.{rest}", expires.parse::<i64>().unwrap() + 1);
        for forged in ["", "..", "1.2.3", &later, value.trim_end_matches(|_| true)] {
            assert!(sessions.find(forged, now()).is_none(), "{forged}");
        }
    }

    #[test]
    fn signing_out_ends_that_session_and_no_other() {
        let sessions = sessions(&["one"]);
        let (mine, other) = (sessions.open("one", now()), sessions.open("one", now()));
        let session = sessions.find(&mine.clone().unwrap(), now()).unwrap();
        sessions.end(&session);
        assert!(sessions.find(&mine.unwrap(), now()).is_none());
        assert!(sessions.find(&other.unwrap(), now()).is_some());
    }

    #[test]
    fn a_session_older_than_the_process_is_invalid_until_the_stored_sign_outs_are_read() {
        let before = sessions(&["one"]);
        let (mine, other) = (before.open("one", now()), before.open("one", now()));
        let (mine, other) = (mine.unwrap(), other.unwrap());
        before.end(&before.find(&mine, now()).unwrap());
        let later = now() + TimeDelta::minutes(1);
        let restarted = Sessions::new(&["one".into()], later);
        for value in [&mine, &other] {
            assert!(restarted.find(value, later).is_none());
        }
        let young = restarted.open("one", later).unwrap();
        assert!(restarted.find(&young, later).is_some());
        restarted.read(before.unsaved(), later);
        assert!(restarted.find(&mine, later).is_none());
        assert!(restarted.find(&other, later).is_some());
    }

    #[test]
    fn each_session_has_its_own_csrf_token() {
        let sessions = sessions(&["one"]);
        let session = || {
            let value = sessions.open("one", now()).unwrap();
            sessions.find(&value, now()).unwrap()
        };
        let (mine, other) = (session(), session());
        assert!(mine.csrf_matches(mine.csrf.as_bytes()));
        assert!(!mine.csrf_matches(other.csrf.as_bytes()));
        assert!(!mine.csrf_matches(b""));
    }
}
