use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::action::ActionId;
use super::egress::EgressHandle;
use super::failure::{Failure, Jitter};
use super::state::{KeptIngest, Recording};

/// An input of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The relay was loaded after a crash.
    Recovered {
        jitter: Jitter,
    },
    Answered {
        action: ActionId,
        answer: Answer,
        jitter: Jitter,
    },
    Failed {
        action: ActionId,
        failure: Failure,
        jitter: Jitter,
    },
    Stop,
    /// The egress of the channel's previous relay is down.
    PredecessorDown,
    Page {
        /// Of the page's egress.
        attempt: u32,
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
#[allow(missing_docs, reason = "the names suffice")]
pub enum PageReport {
    Seller {
        /// Orders one page's reports.
        seq: u64,
        present: bool,
    },
    /// The page shows nothing.
    CannotJoin(PageTrouble),
}

/// Why the recorder page cannot join the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "`describe` documents the variants")]
pub enum PageTrouble {
    NoSdk,
    Timeout,
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
#[allow(missing_docs, reason = "the names suffice")]
pub enum Answer {
    /// The ingest exists.
    Ingest {
        id: String,
        hls_url: String,
        dash_url: Option<String>,
        /// Settings that the platform did not take.
        settings_refused: Vec<String>,
        /// Younger ingests of the same tag: more than one creation was carried out.
        others: Vec<String>,
    },
    /// The channel keeps this ingest, and the relay has it.
    Claimed {
        id: String,
        hls_url: String,
        dash_url: Option<String>,
        key_stale: bool,
        kept: KeptIngest,
    },
    /// The channel keeps no ingest.
    NothingKept,
    BroadcastEnded {
        /// Which, if the platform tells.
        session: Option<String>,
    },
    /// A start can follow.
    EgressPrepared(EgressHandle),
    /// The egress was started, or already runs. Its handle may be unknown.
    EgressRunning(Option<EgressHandle>),
    /// The egress already runs on an earlier preparation. Its handle is unknown.
    EgressElsewhere,
    PreparationExpired,
    KeyRenewed,
    Feed(FeedReading),
    /// There is no manifest; the feed was not polled.
    NotYetWatchable,
    Egress(EgressReading),
    Hosts {
        /// Whether the seller is among the channel's hosts.
        present: bool,
    },
    /// The egress got its target again.
    Updated,
    Stopped,
    /// Nobody can publish into the ingest.
    Closed,
    /// The ingest is gone.
    Removed,
    /// The broadcast goes on, and the platform removes the ingest only after it.
    StillLive {
        retry_after: Duration,
    },
    NotFound,
    Recordings(Vec<Recording>),
}

/// The feed as the platform reports it. `None`: unknown, or not requested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedReading {
    /// Whether the egress publishes into the ingest.
    pub publishing: Option<bool>,
    /// Whether buyers can watch. The platform may serve a broadcast on after its publisher is gone, and serves a new one
    /// only after a time.
    pub watchable: Option<bool>,
    /// The broadcast in progress.
    pub session: Option<FeedSession>,
}

/// A broadcast as the platform counts them: [`super::Reconnect`] says when another begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct FeedSession {
    pub id: String,
    /// Of its recording, if the platform keeps one and names it meanwhile.
    pub recording_id: Option<String>,
    /// By the platform's clock, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<DateTime<Utc>>,
}

/// An egress as its backend reports it.
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
    /// Gone, or moved by the backend and back later.
    NotFound,
}

impl EgressReading {
    /// Whether nothing publishes.
    pub(super) fn is_bad(self) -> bool {
        match self {
            Self::Publishing | Self::Connecting => false,
            Self::Disconnected | Self::Failed | Self::Exited | Self::NotFound => true,
        }
    }
}

/// A notification of a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "`describe` documents the variants")]
pub enum Hint {
    FeedConnected,
    FeedDisconnected,
    FeedErrored {
        /// The platform's code and message.
        reason: String,
    },
    /// A recording is ready or failed.
    RecordingDone,
    SellerJoined,
    SellerLeft,
    EgressChanged,
    /// The same, with the handle of the egress that has this tag.
    EgressNamed {
        tag: String,
        handle: EgressHandle,
    },
    PageCannotJoin {
        trouble: PageTrouble,
    },
}
