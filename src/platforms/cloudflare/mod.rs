//! Cloudflare Stream: live inputs and videos over the API, broadcasts on the public customer host.
//!
//! Where the sources of `cloudflare-stream.md` disagree, every shape seen on the wire is read; unknown states and
//! fields never fail a decoder.

mod account;
mod api;
mod capabilities;
mod customer;
mod envelope;
mod events;
mod lifecycle;
mod limit;
mod live_input;
mod live_inputs;
mod platform;
mod playback;
mod ratelimit;
mod recordings;
mod status;
mod video;
mod videos;
mod webhooks;
mod wire;

use chrono::{DateTime, Utc};

use crate::config;
use crate::vendors::governor::{BudgetSnapshot, Governor};
use crate::vendors::lease::Lease;
use crate::vendors::{LastError, Vendor};
use api::CloudflareApi;

pub use account::{StorageUsage, TokenState};
pub use capabilities::capabilities;
pub use customer::{CustomerHost, Lifecycle, Manifest};
pub use live_input::{IngestTarget, LiveInput, LiveInputSummary, NewLiveInput, RecordingSettings};
pub use live_inputs::{CreatedLiveInput, LiveInputList};
pub use platform::CloudflarePlatform;
pub use playback::PlaybackUrls;
pub use status::{FeedState, FeedStatus};
pub use video::{Video, VideoState};
pub use videos::VideoPage;
pub use webhooks::{NotificationDestination, NotificationPolicy, StreamWebhook};

pub(super) const NAME: &str = "cloudflare";
const VENDOR: Vendor = Vendor::Platform(NAME);

/// The settings do not make a client.
#[derive(Debug, thiserror::Error)]
pub enum CloudflareSetupError {
    /// A setting is not a URL.
    #[error("cloudflare.{setting} is not a URL")]
    Url {
        /// The setting's key.
        setting: &'static str,
        /// The parser's error.
        source: url::ParseError,
    },
    /// A setting is a URL, but not http or https.
    #[error("cloudflare.{setting} is not an http or https URL")]
    NotHttp {
        /// The setting's key.
        setting: &'static str,
    },
    /// The token contains characters that no header can carry.
    #[error("cloudflare.api_token contains characters that no HTTP header can carry")]
    Token,
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A client of one account. Clones share its budgets and learned customer host.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    api: CloudflareApi,
    customer: CustomerHost,
}

impl Cloudflare {
    /// A client that calls only while `lease` allows it.
    pub fn new(
        settings: &config::CloudflareSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, CloudflareSetupError> {
        Ok(Self {
            api: CloudflareApi::of_settings(settings, vendors, lease)?,
            customer: CustomerHost::new(settings, vendors, lease)?,
        })
    }

    /// The public host of this account's broadcasts.
    #[must_use]
    pub fn customer(&self) -> &CustomerHost {
        &self.customer
    }

    fn governors(&self) -> [&Governor; 2] {
        [self.api.governor(), self.customer.governor()]
    }

    /// The API's budget.
    #[must_use]
    pub fn budget(&self) -> BudgetSnapshot {
        self.api.governor().snapshot()
    }

    /// When a call last proved reachability and credentials.
    #[must_use]
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        self.api.health().last_success()
    }

    /// The last failure of the vendor, the credentials or the network, even if a success followed.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.api.health().last_error()
    }

    /// The last refusal of the credentials since the last success.
    #[must_use]
    pub fn refusal(&self) -> Option<LastError> {
        self.api.health().refusal()
    }
}

fn base_url(setting: &'static str, text: &str) -> Result<url::Url, CloudflareSetupError> {
    let url =
        url::Url::parse(text).map_err(|source| CloudflareSetupError::Url { setting, source })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(CloudflareSetupError::NotHttp { setting }),
    }
}
