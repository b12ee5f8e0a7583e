//! Agora's REST APIs that carry a channel to an RTMPS URL, and what the recorder's page needs.
//!
//! - [`cloud_recording`]: a task in web mode, whose cloud browser opens our [`page`] and pushes it (`agora.md §3`);
//! - [`media_push`]: a converter, found again by its name (`agora.md §4`);
//! - [`channel`]: who broadcasts in a channel (`agora.md §5`);
//! - [`token`]: the token with which the page joins (`agora.md §9`).
//!
//! Three things here are not as one would expect: a 404 may be a fail-over at Agora, so it is an answer and no error; an egress's
//! status says nothing about its feed; a refused connection lets a call go to another domain, a silent one does not
//! unless the call may happen twice.

mod answer;
pub mod channel;
pub mod cloud_recording;
mod domains;
pub mod media_push;
pub mod page;
mod signature;
pub mod token;
mod transport;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use channel::Channels;
pub use cloud_recording::CloudRecording;
pub use media_push::MediaPush;
use transport::{ProductClient, Transport};

use super::LastError;
use super::governor::{BudgetSnapshot, Governor};
use super::lease::Lease;
use crate::config;

/// Agora's APIs with their budgets. Clones share them.
#[derive(Debug, Clone)]
pub struct Agora {
    transport: Arc<Transport>,
    cloud_recording: CloudRecording,
    media_push: MediaPush,
    channel: Channels,
    governors: [Governor; 3],
}

/// Why the settings do not make a client.
#[derive(Debug, thiserror::Error)]
pub enum AgoraSetupError {
    /// A base URL is none.
    #[error("agora: not a base URL: {0}")]
    BaseUrl(String),
    /// The HTTP client cannot be built.
    #[error("agora: no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Agora {
    /// A client for the account of `settings`, which calls while `lease` allows it. Each product has a governor of its own: its rate, and at
    /// most 10 % of its concurrency when that is known (`agora.md §2.7, §4.10`), which counts as 2 a second at least.
    ///
    /// # Errors
    /// [`AgoraSetupError`] when a base URL is none. A TLS provider has to be installed before. Empty credentials are no error here: the
    /// first call tells.
    pub fn new(
        settings: &config::AgoraSettings,
        vendors: &config::VendorsSettings,
        lease: &Lease,
    ) -> Result<Self, AgoraSetupError> {
        let transport = Arc::new(Transport::new(settings, vendors, lease)?);
        let recording = &settings.cloud_recording;
        let push = &settings.media_push;
        let recording_rate = budget(recording.requests_per_second, recording.max_concurrent);
        let push_rate = budget(push.requests_per_second, push.max_concurrent);
        let governors = [
            Governor::per_second("agora_cloud_recording", recording_rate),
            Governor::per_second("agora_media_push", push_rate),
            Governor::polls_per_second(
                "agora_channel",
                budget(settings.channel_requests_per_second, 0),
            ),
        ];
        let client =
            |governor: &Governor| ProductClient::new(Arc::clone(&transport), governor.clone());
        let [of_recording, of_push, of_channel] = &governors;
        Ok(Self {
            cloud_recording: CloudRecording::new(client(of_recording), settings),
            media_push: MediaPush::new(client(of_push), settings),
            channel: Channels::new(client(of_channel), settings),
            governors,
            transport,
        })
    }

    /// Cloud Recording in web mode.
    #[must_use]
    pub fn cloud_recording(&self) -> &CloudRecording {
        &self.cloud_recording
    }

    /// Media Push.
    #[must_use]
    pub fn media_push(&self) -> &MediaPush {
        &self.media_push
    }

    /// Who is in a channel.
    #[must_use]
    pub fn channel(&self) -> &Channels {
        &self.channel
    }

    /// The products' budgets.
    pub(crate) fn governors(&self) -> [&Governor; 3] {
        self.governors.each_ref()
    }

    /// How often the calls of each may be made in a second, by all processes: Cloud Recording, Media Push, channels.
    pub(crate) fn rates(&self) -> [f64; 3] {
        self.governors.each_ref().map(Governor::rate)
    }

    /// How the products' budgets are.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetSnapshot> {
        self.governors.iter().map(Governor::snapshot).collect()
    }

    /// When Agora last answered a call of ours as it should: it was reached and believed our credentials.
    #[must_use]
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        self.transport.health().last_success()
    }

    /// What last went wrong: no answer, refused credentials, a quota, a failure of theirs. An answer that says no to one
    /// request (400, 404, 409) is a success in this respect.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.transport.health().last_error()
    }

    /// The last refusal of the credentials, while no call has succeeded since. Failures of other kinds do not end it.
    #[must_use]
    pub fn refusal(&self) -> Option<LastError> {
        self.transport.health().refusal()
    }
}

/// The permits a second of a product: its rate, and at most 10 % of its concurrency when that is known
/// (`agora.md §2.7, §4.10`: the quota *while tasks run*). That tenth counts as 2 at least, as acquire and start take their permits together
/// and are to follow within 2 s, and as a stop must not wait behind looks; where Agora allows less, its own refusal (429,
/// or a 400 that speaks of a rate) holds us back: it is known as `RateLimited` and pauses the product.
fn budget(requests_per_second: u32, max_concurrent: u32) -> u32 {
    let tenth = match max_concurrent {
        0 => u32::MAX,
        known => (known / 10).max(2),
    };
    requests_per_second.min(tenth).max(1)
}

/// All but RFC 3986's unreserved characters is escaped, so that any reader of a path or a query sees the same.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A part of a path or a query.
fn encode(part: &str) -> String {
    utf8_percent_encode(part, UNSAFE).to_string()
}

#[cfg(test)]
mod tests {
    use super::budget;

    #[test]
    fn the_rate_is_at_most_a_tenth_of_a_known_concurrency_but_two() {
        assert_eq!(budget(10, 0), 10);
        assert_eq!(budget(50, 300), 30);
        assert_eq!(budget(10, 200), 10);
        assert_eq!(budget(50, 5), 2);
        assert_eq!(budget(1, 0), 1);
        assert_eq!(budget(0, 0), 1);
    }
}
