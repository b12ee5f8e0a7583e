//! The capabilities of the platforms that relays run on.

use std::time::Duration;

use relaykeeper::relay::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, Playback, Reconnect, RecordingsKept,
};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn cloudflare() -> Capabilities {
    Capabilities {
        create_repeat: CreateRepeat::IdempotencyKey {
            key_life: secs(6 * 3600),
        },
        feed_poll: FeedPollCost::Public,
        manifest_first: true,
        removes_live_ingest: true,
        renews_key: true,
        reconnect: Reconnect::Held {
            longest: secs(86_400),
        },
        recordings: RecordingsKept::Platform,
        ingest_limits: IngestLimits {
            max_kbps: None,
            max_pixels: None,
            audio_only: true,
        },
        playback: Playback {
            low_latency_hls: false,
            dash: true,
            signed: false,
        },
    }
}
