//! Agora's REST APIs that push a channel to an RTMPS URL, and what the recorder page needs.
//!
//! A 404 may come from a fail-over at Agora, so it is an answer, not an error. An egress's status says nothing about
//! its feed.

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

/// The settings do not make a client.
#[derive(Debug, thiserror::Error)]
pub enum AgoraSetupError {
    /// A base URL is invalid.
    #[error("agora: invalid base URL: {0}")]
    BaseUrl(String),
    /// The HTTP client cannot be built.
    #[error("agora: cannot build the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Agora {
    /// A client that calls only while `lease` allows it. Empty credentials fail at the first call.
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

    /// The channels' broadcasters.
    #[must_use]
    pub fn channel(&self) -> &Channels {
        &self.channel
    }

    pub(crate) fn governors(&self) -> [&Governor; 3] {
        self.governors.each_ref()
    }

    /// [`Governor::rate`] of Cloud Recording, Media Push, channels.
    pub(crate) fn rates(&self) -> [f64; 3] {
        self.governors.each_ref().map(Governor::rate)
    }

    /// The products' budgets.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetSnapshot> {
        self.governors.iter().map(Governor::snapshot).collect()
    }

    /// When a call last proved reachability and credentials.
    #[must_use]
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        self.transport.health().last_success()
    }

    /// The last failure. A refusal of one request (400, 404, 409) counts as a success.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.transport.health().last_error()
    }

    /// The last refusal of the credentials since the last success.
    #[must_use]
    pub fn refusal(&self) -> Option<LastError> {
        self.transport.health().refusal()
    }
}

/// A product's permits per second: its rate, capped at 10 % of its concurrency (`agora.md §2.7, §4.10`), but at least
/// 2: acquire takes the start's permit too, and a stop must not wait behind polls.
fn budget(requests_per_second: u32, max_concurrent: u32) -> u32 {
    let tenth = match max_concurrent {
        0 => u32::MAX,
        known => (known / 10).max(2),
    };
    requests_per_second.min(tenth).max(1)
}

/// Escapes all but RFC 3986's unreserved characters.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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
