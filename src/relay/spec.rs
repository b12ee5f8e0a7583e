//! The rules of a relay, fixed when it starts: a change of settings does not affect it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::capabilities::{Capabilities, Latency, PlatformName};
use super::cost::Prices;
use super::egress::EgressSpec;
use super::millis;
use super::tag::{Namespace, ResourceTag};

/// Timeouts and poll intervals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Between polls of feed and hosts, unless live.
    #[serde(with = "millis", rename = "poll_interval_ms")]
    pub poll_interval: Duration,
    /// From the accepted start to the accepted egress.
    #[serde(with = "millis", rename = "provisioning_timeout_ms")]
    pub provisioning_timeout: Duration,
    /// From the accepted egress to live.
    #[serde(with = "millis", rename = "live_timeout_ms")]
    pub live_timeout: Duration,
    /// Between polls of feed and hosts while live.
    #[serde(with = "millis", rename = "live_check_interval_ms")]
    pub live_check_interval: Duration,
    /// How long the seller may be away.
    #[serde(with = "millis", rename = "reconnect_window_ms")]
    pub reconnect_window: Duration,
    /// How long the feed may be gone.
    #[serde(with = "millis", rename = "feed_timeout_ms")]
    pub feed_timeout: Duration,
    /// How long the relay may be live.
    #[serde(with = "millis", rename = "max_duration_ms")]
    pub max_duration: Duration,
    /// From the first answered poll for recordings.
    #[serde(with = "millis", rename = "recording_timeout_ms")]
    pub recording_timeout: Duration,
    /// Between polls for recordings.
    #[serde(with = "millis", rename = "recordings_interval_ms")]
    pub recordings_interval: Duration,
    /// Between polls of the egress.
    #[serde(with = "millis", rename = "query_interval_ms")]
    pub query_interval: Duration,
    /// Waits after consecutive 404s. Then the egress counts as gone.
    #[serde(with = "millis::list", rename = "not_found_backoff_ms")]
    pub not_found_backoff: Vec<Duration>,
}

/// Whose the ingest is.
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
pub enum IngestOwner {
    /// The relay creates and removes it: each show has a URL of its own.
    #[default]
    Relay,
    /// The channel keeps it: every show has the same URL.
    Channel,
}

/// The rules of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Spec {
    pub relay_id: Uuid,
    pub namespace: Namespace,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// The Agora channel's name.
    pub channel_name: String,
    /// The seller's uid in that channel (`agora.md §5.3`).
    pub seller_uid: u32,
    pub enable_recording: bool,
    /// The platform deletes recordings after this time. `None`: kept until deleted.
    pub delete_recording_after_days: Option<u16>,
    /// Whether the closed ingest is kept.
    pub keep_ingest: bool,
    #[serde(default)]
    pub ingest_owner: IngestOwner,
    #[serde(default)]
    pub latency: Latency,
    pub platform: PlatformName,
    pub capabilities: Capabilities,
    pub egress: EgressSpec,
    pub timing: Timing,
    pub prices: Prices,
    pub requested_at: DateTime<Utc>,
    /// The first egress waits until then, or for the egress of the previous relay to be down.
    pub egress_not_before: Option<DateTime<Utc>>,
}

impl Spec {
    /// The tag of an object.
    #[must_use]
    pub fn tag(&self, attempt: u32) -> ResourceTag {
        ResourceTag {
            namespace: self.namespace.clone(),
            relay: self.relay_id,
            attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_stored_in_milliseconds_and_read_back() {
        let timing = Timing {
            poll_interval: Duration::from_millis(5_250),
            provisioning_timeout: Duration::from_secs(2),
            live_timeout: Duration::from_secs(3),
            live_check_interval: Duration::from_secs(4),
            reconnect_window: Duration::from_secs(5),
            feed_timeout: Duration::from_secs(6),
            max_duration: Duration::from_secs(7),
            recording_timeout: Duration::from_secs(8),
            recordings_interval: Duration::from_secs(9),
            query_interval: Duration::from_secs(10),
            not_found_backoff: vec![Duration::from_secs(1), Duration::from_millis(1_500)],
        };
        let stored = serde_json::to_value(&timing).unwrap();
        assert_eq!(stored["poll_interval_ms"], 5_250);
        assert_eq!(
            stored["not_found_backoff_ms"],
            serde_json::json!([1_000, 1_500])
        );
        assert_eq!(serde_json::from_value::<Timing>(stored).unwrap(), timing);
    }
}
