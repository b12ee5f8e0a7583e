use serde::{Deserialize, Serialize};

use super::action::ActionId;
use super::failure::{Failure, Jitter};
use super::state::Recording;

/// An input of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The relay was loaded after a crash.
    Recovered {
        /// Spreads the first polls.
        jitter: Jitter,
    },
    /// A call was answered.
    Answered {
        /// Its id.
        action: ActionId,
        /// The answer.
        answer: Answer,
        /// Spreads the next poll.
        jitter: Jitter,
    },
    /// A call failed.
    Failed {
        /// Its id.
        action: ActionId,
        /// The failure.
        failure: Failure,
        /// Spreads the retry.
        jitter: Jitter,
    },
    /// A stop was requested.
    Stop,
    /// The egress of the channel's previous relay is down.
    PredecessorDown,
    /// A report of the recorder page.
    Page {
        /// The page's egress.
        attempt: u32,
        /// The report.
        report: PageReport,
    },
    /// A verified notification: it leads to a poll and is never trusted alone.
    Hint(Hint),
    /// Recordings found after the search was over.
    LateRecordings(Vec<Recording>),
}

/// A report of the recorder page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageReport {
    /// Whether the seller is in the channel.
    Seller {
        /// Orders one page's reports.
        seq: u64,
        /// Whether present.
        present: bool,
    },
    /// The page shows nothing.
    CannotJoin(PageTrouble),
}

/// Why the recorder page cannot join the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageTrouble {
    /// Agora's Web SDK does not load.
    NoSdk,
    /// Agora did not answer in time.
    Timeout,
    /// Agora refused, or the connection failed.
    Refused,
}

impl PageTrouble {
    /// A sentence for operators.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoSdk => "the recorder's page cannot load Agora's Web SDK",
            Self::Timeout => "the recorder's page cannot join the channel: Agora does not answer",
            Self::Refused => {
                "the recorder's page cannot join the channel: Agora refuses, or the connection fails"
            }
        }
    }
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The ingest exists.
    Ingest {
        /// The platform's uid.
        uid: String,
        /// HLS playback URL.
        hls_url: String,
        /// DASH playback URL.
        dash_url: String,
        /// Settings that the platform changed.
        echo_differs: Vec<String>,
    },
    /// A resource was acquired.
    Acquired {
        /// Its id.
        resource_id: String,
    },
    /// The egress was started, or already runs.
    EgressRunning {
        /// Its session, if named.
        sid: Option<String>,
    },
    /// The egress already runs on an earlier resource (400/53). Its session is unknown.
    EgressElsewhere,
    /// The resource is too old.
    ResourceExpired,
    /// The converter was created, or already runs.
    ConverterRunning {
        /// Its id.
        converter_id: String,
    },
    /// The ingest has new keys.
    KeysRotated,
    /// A reading of the feed.
    Feed(FeedReading),
    /// There is no manifest; the feed was not polled.
    NotYetPlayable,
    /// A reading of the egress.
    Egress(EgressReading),
    /// The channel's hosts.
    Hosts {
        /// Whether the seller is among them.
        present: bool,
    },
    /// The egress got its target again.
    Updated,
    /// The egress is stopped.
    Stopped,
    /// The ingest is disabled.
    Disabled,
    /// The ingest was deleted.
    Deleted,
    /// The object does not exist.
    NotFound,
    /// The recordings seen by the poll.
    Recordings(Vec<Recording>),
}

/// The feed as the public host reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReading {
    /// `/lifecycle`: it streams.
    pub live: bool,
    /// Whether the manifest can be played, if requested.
    pub playable: Option<bool>,
    /// The recording in progress.
    pub recording_uid: Option<String>,
}

/// An egress as Agora reports it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EgressReading {
    /// Its output publishes.
    Publishing,
    /// It is starting, or unknown.
    Connecting,
    /// It runs without its output.
    Disconnected,
    /// It failed for good, but still exists.
    Failed,
    /// It exited.
    Exited,
    /// 404: gone, or moved by Agora and back later.
    NotFound,
}

/// A notification of a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Hint {
    /// Cloudflare: an encoder connected.
    FeedConnected,
    /// Cloudflare: the encoder disconnected.
    FeedDisconnected,
    /// Cloudflare refused the feed.
    FeedErrored {
        /// Its code and message.
        reason: String,
    },
    /// Cloudflare: a recording is ready or failed.
    RecordingDone,
    /// Agora: the seller joined.
    SellerJoined,
    /// Agora: the seller left.
    SellerLeft,
    /// Agora: this session changed.
    EgressChanged {
        /// Its label.
        cname: String,
        /// Its session.
        sid: String,
    },
    /// Agora: the converter changed.
    ConverterChanged,
    /// The recorder page cannot join the channel.
    PageCannotJoin {
        /// Why.
        trouble: PageTrouble,
    },
}
