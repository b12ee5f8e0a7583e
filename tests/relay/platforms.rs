//! The platforms that relays run on: the most convenient one, what others lack, and the real ones.

use std::time::Duration;

use relaykeeper::mux;
use relaykeeper::relay::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, LowLatency, Reconnect, RecordingsKept,
};

/// What a platform promises, and what its answers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub capabilities: Capabilities,
    pub quirks: Quirks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Whether a reading of the feed tells the publisher from a broadcast that is held without one.
    pub tells_publishing: bool,
    /// Whether a recording is called ready while its broadcast goes on.
    pub ready_early: bool,
}

/// A promise that a platform does not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Lack {
    /// Of an idempotency key.
    Key,
    /// Of the removal of an ingest during its broadcast.
    LiveRemoval,
    /// Of a new key for an ingest.
    Renewal,
    /// Of a broadcast that goes on when its publisher returns; recordings are merged.
    Session,
    /// Of that, and of one recording.
    Reconnect,
    /// Of recordings that the platform plays.
    OwnRecordings,
    /// Of any recording.
    Recordings,
    /// Of polls that cost nothing.
    FreePolls,
    /// Of a reading that tells the publisher.
    Publisher,
    /// Of a recording that is complete when it is ready.
    Finality,
}

/// All lacks that can be combined.
pub const WORST: [Lack; 8] = [
    Lack::Key,
    Lack::LiveRemoval,
    Lack::Renewal,
    Lack::Reconnect,
    Lack::OwnRecordings,
    Lack::FreePolls,
    Lack::Publisher,
    Lack::Finality,
];

impl Platform {
    /// As Cloudflare Stream is today.
    pub fn best() -> Self {
        let secs = Duration::from_secs;
        Self {
            capabilities: Capabilities {
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
                    max_sd_kbps: None,
                    max_pixels: None,
                },
                low_latency: LowLatency::OnRequest,
            },
            quirks: Quirks {
                tells_publishing: true,
                ready_early: false,
            },
        }
    }

    /// Its live stream stays active during the reconnect window, and its asset is ready during the broadcast.
    pub fn mux() -> Self {
        Self {
            capabilities: mux::capabilities(),
            quirks: Quirks {
                tells_publishing: false,
                ready_early: true,
            },
        }
    }

    /// Its capabilities depend on settings: these are with recordings that it merges and a service that plays them
    /// (`src/platforms/ivs/capabilities.rs`).
    pub fn ivs() -> Self {
        let mut platform = Self::without(&[Lack::Key, Lack::LiveRemoval, Lack::Session]);
        platform.capabilities.feed_poll = FeedPollCost::Bulk;
        platform
    }

    pub fn without(lacks: &[Lack]) -> Self {
        let mut platform = Self::best();
        for lack in lacks {
            platform.lose(*lack);
        }
        platform
    }

    fn lose(&mut self, lack: Lack) {
        let Self {
            capabilities,
            quirks,
        } = self;
        match lack {
            Lack::Key => capabilities.create_repeat = CreateRepeat::LookUp,
            Lack::LiveRemoval => capabilities.removes_live_ingest = false,
            Lack::Renewal => capabilities.renews_key = false,
            Lack::Session => {
                let longest = Duration::from_secs(300);
                capabilities.reconnect = Reconnect::RecordingsMerged { longest };
            }
            Lack::Reconnect => capabilities.reconnect = Reconnect::Anew,
            Lack::OwnRecordings => capabilities.recordings = RecordingsKept::Elsewhere,
            Lack::Recordings => capabilities.recordings = RecordingsKept::Nowhere,
            Lack::FreePolls => {
                capabilities.feed_poll = FeedPollCost::Each;
                capabilities.manifest_first = false;
            }
            Lack::Publisher => quirks.tells_publishing = false,
            Lack::Finality => quirks.ready_early = true,
        }
    }
}
