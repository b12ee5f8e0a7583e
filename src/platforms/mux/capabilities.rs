//! What Mux promises.

use std::time::Duration;

use crate::relay::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, LowLatency, Reconnect, RecordingsKept,
};

/// In seconds (`mux.md §2.4`).
pub(super) const LONGEST_WINDOW: u64 = 1800;

/// Its facts.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        // `mux.md §2.2`
        create_repeat: CreateRepeat::LookUp,
        // `mux.md §3.2`
        feed_poll: FeedPollCost::Public,
        manifest_first: true,
        // `mux.md §2.8`
        removes_live_ingest: true,
        // `mux.md §2.7`
        renews_key: true,
        // `mux.md §2.4`
        reconnect: Reconnect::Held {
            longest: Duration::from_secs(LONGEST_WINDOW),
        },
        // `mux.md §4.1`
        recordings: RecordingsKept::Platform,
        // `mux.md §6.2`
        ingest_limits: IngestLimits {
            max_kbps: None,
            max_sd_kbps: None,
            max_pixels: Some(1920 * 1080),
        },
        // `mux.md §2.1`
        low_latency: LowLatency::OnRequest,
    }
}
