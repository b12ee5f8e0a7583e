//! What a platform promises. The core and the checks of the settings ask these facts, never a platform's name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// A platform's name in settings, rows and answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformName(String);

impl PlatformName {
    /// A name as the settings spell it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlatformName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The facts of a platform. A relay keeps those it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// How a creation without an answer is repeated.
    pub create_repeat: CreateRepeat,
    /// What a poll of the feed costs.
    pub feed_poll: FeedPollCost,
    /// Whether the manifest's host, which costs no API call, tells that nothing can be watched yet.
    pub manifest_first: bool,
    /// Whether an ingest can be removed during its broadcast.
    pub removes_live_ingest: bool,
    /// Whether the ingest can get a new key and keep its playback URLs.
    pub renews_key: bool,
    /// What a publisher's return means.
    pub reconnect: Reconnect,
    /// Where recordings are.
    pub recordings: RecordingsKept,
    /// The most that the ingest takes.
    pub ingest_limits: IngestLimits,
    /// Whether buyers can be near the seller.
    #[serde(default)]
    pub low_latency: LowLatency,
}

/// How far buyers are behind the seller.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Latency {
    /// Plays everywhere.
    #[default]
    Normal,
    /// As near as the platform comes.
    Low,
}

/// Whether a platform has broadcasts of low latency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowLatency {
    /// It has none.
    #[default]
    Unavailable,
    /// An ingest that asks for it has it.
    OnRequest,
    /// An ingest has it unless it asks for normal latency.
    Usual,
}

impl LowLatency {
    /// The latency of a relay that asks for this. `None`: the platform does not have it.
    #[must_use]
    pub fn choose(self, wanted: Option<Latency>) -> Option<Latency> {
        match (self, wanted) {
            (Self::Unavailable, Some(Latency::Low)) => None,
            (Self::Usual, None) => Some(Latency::Low),
            (Self::Unavailable | Self::OnRequest, None) => Some(Latency::Normal),
            (_, Some(wanted)) => Some(wanted),
        }
    }
}

/// How a creation without an answer is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum CreateRepeat {
    /// The tag is the creation's idempotency key: for this time a repeat finds the ingest.
    IdempotencyKey {
        /// From the first creation.
        #[serde(with = "millis", rename = "key_life_ms")]
        key_life: Duration,
    },
    /// A repeat creates another ingest, so the tag is looked up first.
    LookUp,
}

/// What a poll of the feed costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedPollCost {
    /// No API call: a public host answers.
    Public,
    /// One API call serves all relays.
    Bulk,
    /// An API call.
    Each,
}

/// What the return of a publisher means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reconnect {
    /// The broadcast goes on if the publisher returns within the ingest's timeout.
    Held {
        /// The largest timeout.
        #[serde(with = "millis", rename = "longest_ms")]
        longest: Duration,
    },
    /// It is another broadcast; recordings that are at most this far apart are merged.
    RecordingsMerged {
        /// The largest gap.
        #[serde(with = "millis", rename = "longest_ms")]
        longest: Duration,
    },
    /// It is another broadcast with a recording of its own.
    Anew,
}

impl Reconnect {
    /// How long a broadcast stays open without its publisher, of an ingest created with this timeout.
    #[must_use]
    pub fn holds_open(self, timeout: Duration) -> Duration {
        match self {
            Self::Held { longest } => timeout.min(longest),
            Self::RecordingsMerged { longest } => longest,
            Self::Anew => Duration::ZERO,
        }
    }
}

/// Where recordings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingsKept {
    /// The platform keeps and plays them.
    Platform,
    /// In storage that another service plays from: a recording has a location and no URL.
    Elsewhere,
    /// In storage that this service does not read.
    Unread,
    /// There are none.
    Nowhere,
}

impl RecordingsKept {
    /// Whether recordings can be searched for.
    #[must_use]
    pub fn are_found(self) -> bool {
        match self {
            Self::Platform | Self::Elsewhere => true,
            Self::Unread | Self::Nowhere => false,
        }
    }
}

/// The most that an ingest takes. A platform may cut a publisher that exceeds it. `None`: no limit is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestLimits {
    /// Video and audio, in kbit/s.
    pub max_kbps: Option<u32>,
    /// The same of a picture whose shorter side has at most 480 pixels, where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sd_kbps: Option<u32>,
    /// Width times height.
    pub max_pixels: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_the_latency_it_asks_for_or_the_platforms_own() {
        use Latency::{Low, Normal};
        for (offered, unasked, low) in [
            (LowLatency::Unavailable, Normal, None),
            (LowLatency::OnRequest, Normal, Some(Low)),
            (LowLatency::Usual, Low, Some(Low)),
        ] {
            assert_eq!(offered.choose(None), Some(unasked));
            assert_eq!(offered.choose(Some(Low)), low);
            assert_eq!(offered.choose(Some(Normal)), Some(Normal));
        }
    }

    #[test]
    fn capabilities_are_stored_and_read_back() {
        let capabilities = Capabilities {
            create_repeat: CreateRepeat::IdempotencyKey {
                key_life: Duration::from_secs(6 * 3600),
            },
            feed_poll: FeedPollCost::Bulk,
            manifest_first: true,
            removes_live_ingest: false,
            renews_key: true,
            reconnect: Reconnect::RecordingsMerged {
                longest: Duration::from_secs(300),
            },
            recordings: RecordingsKept::Elsewhere,
            ingest_limits: IngestLimits {
                max_kbps: Some(8_500),
                max_sd_kbps: Some(1_500),
                max_pixels: None,
            },
            low_latency: LowLatency::Unavailable,
        };
        let stored = serde_json::to_value(&capabilities).unwrap();
        assert_eq!(
            stored["create_repeat"],
            serde_json::json!({"by": "idempotency_key", "key_life_ms": 21_600_000})
        );
        assert_eq!(
            serde_json::from_value::<Capabilities>(stored).unwrap(),
            capabilities
        );
    }
}
