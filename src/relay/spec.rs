//! What a relay is asked to do and the rules it runs by, fixed for its life: a change of settings strands none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cost::Prices;
use super::tag::{Owner, ResourceTag};

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis())
            .unwrap_or(u64::MAX)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Lists of durations as whole milliseconds.
mod millis_list {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        list: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let list: Vec<u64> = list
            .iter()
            .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
            .collect();
        list.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<u64>::deserialize(deserializer)?
            .into_iter()
            .map(Duration::from_millis)
            .collect())
    }
}

/// What carries the channel to the ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "backend", rename_all = "snake_case")]
pub enum Backend {
    /// A Cloud Recording task in web mode (`agora.md §3`).
    CloudRecording {
        /// Egresses' uids are this plus the attempt.
        recording_uid_base: u32,
        /// The page the cloud browser opens, without its query.
        page_url: String,
        /// `maxRecordingHour`: no egress runs longer than this, whatever happens to us.
        max_recording_hours: u32,
        /// Whether the page says it is ready at the seller's first frame, or else on joining.
        ready_at_first_frame: bool,
    },
    /// A Media Push converter (`agora.md §4`).
    MediaPush {
        /// Where it runs; every later call has to name it.
        region: String,
    },
}

/// The rules of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Between looks until live, and while interrupted.
    #[serde(with = "millis", rename = "poll_interval_ms")]
    pub poll_interval: Duration,
    /// From accepting a start to the egress accepting.
    #[serde(with = "millis", rename = "provisioning_timeout_ms")]
    pub provisioning_timeout: Duration,
    /// From there to live.
    #[serde(with = "millis", rename = "live_timeout_ms")]
    pub live_timeout: Duration,
    /// Between looks while live.
    #[serde(with = "millis", rename = "live_check_interval_ms")]
    pub live_check_interval: Duration,
    /// How long the seller may be away.
    #[serde(with = "millis", rename = "reconnect_window_ms")]
    pub reconnect_window: Duration,
    /// How long the feed may be gone.
    #[serde(with = "millis", rename = "feed_timeout_ms")]
    pub feed_timeout: Duration,
    /// The longest the relay stays live.
    #[serde(with = "millis", rename = "max_duration_ms")]
    pub max_duration: Duration,
    /// From the first answered look for recordings to giving up.
    #[serde(with = "millis", rename = "recording_timeout_ms")]
    pub recording_timeout: Duration,
    /// Between looks for recordings.
    #[serde(with = "millis", rename = "recordings_interval_ms")]
    pub recordings_interval: Duration,
    /// Between queries of the egress.
    #[serde(with = "millis", rename = "query_interval_ms")]
    pub query_interval: Duration,
    /// A 404 for the egress means *unknown* until these waits are used up.
    #[serde(with = "millis_list", rename = "not_found_backoff_ms")]
    pub not_found_backoff: Vec<Duration>,
}

/// What a relay is asked to do, and the rules it runs by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The relay's id.
    pub relay_id: Uuid,
    /// Whose it is at the vendors.
    pub owner: Owner,
    /// The marketplace's channel.
    pub channel_id: i64,
    /// The Agora channel's name.
    pub channel_name: String,
    /// The seller's uid in that channel (`agora.md §5.3`).
    pub seller_uid: u32,
    /// Whether recordings are kept.
    pub enable_recording: bool,
    /// Cloudflare's `deleteRecordingAfterDays`; none: kept until somebody deletes it.
    pub delete_recording_after_days: Option<u16>,
    /// Whether the ingest stays (disabled) after the relay's end.
    pub keep_ingest: bool,
    /// What carries the channel to the ingest.
    #[serde(flatten)]
    pub backend: Backend,
    /// The rules of time.
    pub timing: Timing,
    /// The prices the cost is reckoned by.
    pub prices: Prices,
    /// When the start was accepted.
    pub requested_at: DateTime<Utc>,
    /// The first egress does not start before this, unless the egress of the channel's last relay is down earlier.
    pub egress_not_before: Option<DateTime<Utc>>,
}

impl Spec {
    /// The mark of this relay's `attempt`-th object of a kind.
    #[must_use]
    pub fn tag(&self, attempt: u32) -> ResourceTag {
        ResourceTag {
            owner: self.owner.clone(),
            relay: self.relay_id,
            attempt,
        }
    }
}
