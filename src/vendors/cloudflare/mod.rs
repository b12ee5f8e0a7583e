//! Cloudflare Stream: live inputs and their videos over the API, and what the public customer host says of a broadcast.
//!
//! Facts are from `cloudflare-stream.md`; where its sources disagree, every shape seen on the wire is read, and unknown
//! states and fields never fail a decoder. Each call waits for its permit first; the budget is one for all clones.

mod account;
mod api;
mod customer;
mod envelope;
mod limit;
mod live_input;
mod live_inputs;
mod playback;
mod ratelimit;
mod status;
mod video;
mod videos;
mod webhooks;
mod wire;

use chrono::{DateTime, Utc};

use super::LastError;
use super::governor::{BudgetSnapshot, Governor};
use super::lease::Lease;
use crate::config;
use api::ApiClient;

pub use account::{StorageUsage, TokenState};
pub use customer::{CustomerHost, Lifecycle, Manifest};
pub use live_input::{IngestTarget, LiveInput, LiveInputSummary, NewLiveInput, RecordingSettings};
pub use live_inputs::{CreatedLiveInput, LiveInputList};
pub use playback::PlaybackUrls;
pub use status::{FeedState, FeedStatus};
pub use video::{Video, VideoState};
pub use videos::VideoPage;
pub use webhooks::{NotificationDestination, NotificationPolicy, StreamWebhook};

/// The settings do not make a client.
#[derive(Debug, thiserror::Error)]
pub enum CloudflareSetupError {
    /// A setting is no URL.
    #[error("cloudflare.{setting} is no URL")]
    Url {
        /// The setting's key.
        setting: &'static str,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// A setting is a URL, but neither http nor https.
    #[error("cloudflare.{setting} is no http or https URL")]
    NotHttp {
        /// The setting's key.
        setting: &'static str,
    },
    /// The token holds characters no header can carry.
    #[error("cloudflare.api_token holds characters that no HTTP header can carry")]
    Token,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[from] reqwest::Error),
}

/// A client of one Cloudflare account. Clones share its budget, its connections and what it has learnt.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    api: ApiClient,
    customer: CustomerHost,
}

impl Cloudflare {
    /// A client for the account in the settings, which calls while `lease` allows it. Nothing is called yet.
    ///
    /// # Errors
    /// When a URL or the token cannot be used, or no TLS provider is installed.
    pub fn new(
        settings: &config::CloudflareSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, CloudflareSetupError> {
        Ok(Self {
            api: ApiClient::new(settings, vendors, lease)?,
            customer: CustomerHost::new(settings, vendors, lease)?,
        })
    }

    /// The public host that serves this account's broadcasts.
    #[must_use]
    pub fn customer(&self) -> &CustomerHost {
        &self.customer
    }

    /// Its budgets: the API's and the customer host's.
    pub(crate) fn governors(&self) -> [&Governor; 2] {
        [self.api.governor(), self.customer.governor()]
    }

    /// How often the API and the customer host may be called in a second, by all processes.
    pub(crate) fn rates(&self) -> [f64; 2] {
        self.governors().map(Governor::rate)
    }

    /// The API's budget.
    #[must_use]
    pub fn budget(&self) -> BudgetSnapshot {
        self.api.budget()
    }

    /// When the API last answered in a way that proves credentials and reach.
    #[must_use]
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        self.api.health().last_success()
    }

    /// The last failure that was the vendor's, the credentials' or the network's, newer than the last success or not.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.api.health().last_error()
    }

    /// The last refusal of the credentials, while no call has succeeded since. Failures of other kinds do not end it.
    #[must_use]
    pub fn refusal(&self) -> Option<LastError> {
        self.api.health().refusal()
    }
}

/// A base URL from the settings.
fn base_url(setting: &'static str, text: &str) -> Result<url::Url, CloudflareSetupError> {
    let url =
        url::Url::parse(text).map_err(|source| CloudflareSetupError::Url { setting, source })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(CloudflareSetupError::NotHttp { setting }),
    }
}
