//! The public host of an account's broadcasts, `customer-<code>.cloudflarestream.com` (`cloudflare-stream.md §3`). It
//! needs no token and no API budget.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::Deserialize;

use super::playback::{customer_host, manifest};
use super::wire::lenient;
use super::{CloudflareSetupError, VENDOR, base_url};
use crate::config;
use crate::platforms::public_host::PublicHost;
use crate::platforms::wire::is_id;
use crate::vendors::governor::{BudgetSnapshot, Governor, PermitRequest};
use crate::vendors::http::{self, RawResponse, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

/// The host refuses other user agents with 403 `error code: 1010` (`cloudflare-stream.md §3.6`).
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/142.0.0.0 Safari/537.36";

/// The answer of `/lifecycle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Whether a broadcast is running.
    pub live: bool,
    /// The broadcast's video.
    pub video_uid: Option<String>,
}

/// The answer for the HLS manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// 200 with a manifest. It stays, frozen, while the feed is interrupted.
    Playable,
    /// 204: no broadcast.
    Idle,
    /// Another status, or 200 without a manifest.
    Other(u16),
}

/// A client of the customer host. Clones share its budget and the learned host.
#[derive(Debug, Clone)]
pub struct CustomerHost {
    host: PublicHost,
    configured: Option<Arc<str>>,
    /// The configured host contains the account's id instead of the customer code.
    holds_account_id: bool,
    learned: Arc<RwLock<Option<Arc<str>>>>,
}

#[derive(Debug, Deserialize)]
struct WireLifecycle {
    live: bool,
    #[serde(default, rename = "videoUID", deserialize_with = "lenient")]
    video_uid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireViews {
    live_viewers: u64,
}

impl CustomerHost {
    pub(super) fn new(
        settings: &config::CloudflareSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, CloudflareSetupError> {
        let configured: Option<Arc<str>> = match settings.customer_base_url.trim_end_matches('/') {
            "" => None,
            text => {
                base_url("customer_base_url", text)?;
                Some(Arc::from(text))
            }
        };
        let rate = settings.customer_requests_per_second;
        let governor = Governor::polls_per_second("cloudflare_customer_host", rate);
        Ok(Self {
            host: PublicHost::new(VENDOR, USER_AGENT, governor, vendors, lease)?,
            holds_account_id: configured.as_deref().is_some_and(|base| {
                !settings.account_id.is_empty() && base.contains(&settings.account_id)
            }),
            configured,
            learned: Arc::default(),
        })
    }

    pub(super) fn governor(&self) -> &Governor {
        self.host.governor()
    }

    /// The configured host, else the learned one, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> Option<Arc<str>> {
        let learned = || self.learned.read().clone();
        self.configured.clone().or_else(learned)
    }

    /// Without a path.
    pub(super) fn configured_origin(&self) -> Option<String> {
        let url = url::Url::parse(self.configured.as_deref()?).ok()?;
        Some(url.origin().ascii_serialization())
    }

    /// Why the configured host, if it is Cloudflare's, cannot be the account's.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let configured = customer_host(self.configured.as_deref()?)?;
        let learned = self.learned.read();
        match learned.as_deref() {
            Some(answered) if answered == configured => None,
            Some(answered) => Some(format!(
                "cloudflare.customer_base_url is {configured}, but Cloudflare's own answers name {answered}"
            )),
            None if self.holds_account_id => Some(format!(
                "cloudflare.customer_base_url is {configured}: the account id stands where the customer code belongs, as in the \
                 URL of any video of the account"
            )),
            None => None,
        }
    }

    /// Learns the customer host from a URL on it; `false` for other URLs.
    pub fn learn(&self, url: &str) -> bool {
        let Some(base) = customer_host(url) else {
            return false;
        };
        self.remember(&base);
        true
    }

    /// Whether a broadcast of this live input is running, and its video (`cloudflare-stream.md §3.4`).
    pub async fn lifecycle(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Lifecycle, VendorError> {
        const NAME: &str = "customer.lifecycle";
        let answer = self.get(permit, NAME, uid, "lifecycle").await?;
        let wire: WireLifecycle = json(NAME, &answer)?;
        Ok(Lifecycle {
            live: wire.live,
            video_uid: wire.video_uid.filter(|uid| !uid.is_empty()),
        })
    }

    /// The number of viewers of a live input's broadcast (`cloudflare-stream.md §3.5`).
    pub async fn views(&self, permit: PermitRequest, uid: &str) -> Result<u64, VendorError> {
        const NAME: &str = "customer.views";
        let answer = self.get(permit, NAME, uid, "views").await?;
        let wire: WireViews = json(NAME, &answer)?;
        Ok(wire.live_viewers)
    }

    /// Whether a live input or a video is playable over HLS (`cloudflare-stream.md §3.3`). Any answer but a 429 is a
    /// result.
    pub async fn manifest(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Manifest, VendorError> {
        const NAME: &str = "customer.manifest";
        let answer = self.get(permit, NAME, uid, "manifest/video.m3u8").await?;
        let body = answer
            .body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&answer.body);
        let manifest = match answer.status {
            200 if body.starts_with(b"#EXTM3U") => Manifest::Playable,
            204 => Manifest::Idle,
            status => Manifest::Other(status),
        };
        let failure = match manifest {
            Manifest::Playable | Manifest::Idle => None,
            Manifest::Other(status) => Some(undocumented(status)),
        };
        http::count(VENDOR, NAME, failure);
        Ok(manifest)
    }

    /// The host's budget.
    #[must_use]
    pub fn budget(&self) -> BudgetSnapshot {
        self.governor().snapshot()
    }

    pub(super) fn remember(&self, base: &str) {
        let mut learned = self.learned.write();
        if learned.as_deref() != Some(base) {
            *learned = Some(Arc::from(base));
        }
    }

    async fn get(
        &self,
        permit: PermitRequest,
        name: &'static str,
        uid: &str,
        what: &str,
    ) -> Result<RawResponse, VendorError> {
        let fail =
            |class, message: &str| failure(VENDOR, name, class, Done::No, message.to_owned());
        let Some(base) = self.base_url() else {
            return Err(fail(
                Class::Unavailable,
                "the customer host is not known yet",
            ));
        };
        if !is_id(uid) {
            return Err(fail(Class::Rejected, "the object's id is invalid"));
        }
        let url = match what.strip_prefix("manifest/") {
            Some(file) => manifest(&base, uid, file),
            None => format!("{base}/{uid}/{what}"),
        };
        self.host.get(permit, name, url).await
    }
}

fn undocumented(status: u16) -> Class {
    match status {
        404 => Class::NotFound,
        500.. => Class::Unavailable,
        _ => Class::Unexpected,
    }
}

/// No credentials are sent, so 401 and 403 are as undocumented as an empty answer.
fn json<T: serde::de::DeserializeOwned>(
    name: &'static str,
    answer: &RawResponse,
) -> Result<T, VendorError> {
    if answer.status == 200
        && let Ok(json) = serde_json::from_slice(&answer.body)
    {
        http::count(VENDOR, name, None);
        return Ok(json);
    }
    let class = undocumented(answer.status);
    http::count(VENDOR, name, Some(class));
    let message = match answer.status {
        404 => "no such object",
        500.. => "the host failed",
        _ => "undocumented answer",
    };
    let message = message.to_owned();
    Err(VendorError {
        status: Some(answer.status),
        ..failure(VENDOR, name, class, Done::No, message)
    })
}
