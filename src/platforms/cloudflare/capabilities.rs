//! What Cloudflare Stream promises.

use std::time::Duration;

use crate::relay::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, LowLatency, Reconnect, RecordingsKept,
};

/// Its facts.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        // `cloudflare-stream.md §2.3`
        create_repeat: CreateRepeat::IdempotencyKey {
            key_life: Duration::from_secs(6 * 3600),
        },
        // `cloudflare-stream.md §3.4`
        feed_poll: FeedPollCost::Public,
        // `cloudflare-stream.md §3.3`
        manifest_first: true,
        // `cloudflare-stream.md §2.9`
        removes_live_ingest: true,
        // `cloudflare-stream.md §2.8`
        renews_key: true,
        // `cloudflare-stream.md §2.6`
        reconnect: Reconnect::Held {
            longest: Duration::from_secs(86_400),
        },
        recordings: RecordingsKept::Platform,
        // `cloudflare-stream.md §6.1`
        ingest_limits: IngestLimits {
            max_kbps: Some(14_000),
            max_sd_kbps: None,
            max_pixels: None,
        },
        // `cloudflare-stream.md §2.2`
        low_latency: LowLatency::OnRequest,
    }
}
