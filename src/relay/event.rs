//! What a relay hears: answers to its calls, hints from vendors, words from the marketplace, and time.

use serde::{Deserialize, Serialize};

use super::action::ActionId;
use super::failure::{Failure, Jitter};
use super::state::Recording;

/// Something a relay hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The relay was loaded from the store after its actor or the whole process died.
    Recovered {
        /// Spreads the first looks of many relays.
        jitter: Jitter,
    },
    /// A call was answered.
    Answered {
        /// Which.
        action: ActionId,
        /// What came back.
        answer: Answer,
        /// Spreads the next poll.
        jitter: Jitter,
    },
    /// A call failed.
    Failed {
        /// Which.
        action: ActionId,
        /// How.
        failure: Failure,
        /// Spreads the next try.
        jitter: Jitter,
    },
    /// Somebody wants it stopped.
    Stop,
    /// The egress of the channel's last relay is down: ours may start.
    PredecessorDown,
    /// The recorder's page reported.
    Page {
        /// Which recorder's page.
        attempt: u32,
        /// What.
        report: PageReport,
    },
    /// A verified notification of a vendor: leads to a poll, and is never trusted alone.
    Hint(Hint),
    /// Recordings that turned up after the search was over.
    LateRecordings(Vec<Recording>),
}

/// What the recorder's page reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageReport {
    /// Whether the seller is there.
    Seller {
        /// Orders what one page says.
        seq: u64,
        /// Whether the seller is there.
        present: bool,
    },
    /// It is not in the channel, and shows nothing.
    CannotJoin(PageTrouble),
}

/// Why the recorder's page is not in the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageTrouble {
    /// Agora's Web SDK could not be loaded.
    NoSdk,
    /// Agora did not answer in time.
    Timeout,
    /// Agora refused, or the connection failed.
    Refused,
}

impl PageTrouble {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoSdk => "the recorder's page cannot load Agora's Web SDK",
            Self::Timeout => "the recorder's page cannot join the channel: Agora does not answer",
            Self::Refused => {
                "the recorder's page cannot join the channel: Agora refuses, or the connection fails"
            }
        }
    }
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The ingest is there.
    Ingest {
        /// Cloudflare's uid.
        uid: String,
        /// Where buyers watch, over HLS.
        hls_url: String,
        /// The same over DASH.
        dash_url: String,
        /// Settings that came back otherwise than sent.
        echo_differs: Vec<String>,
    },
    /// A resource to start an egress on.
    Acquired {
        /// Its id.
        resource_id: String,
    },
    /// The egress runs: just started, or found running.
    Recording {
        /// Its session, unless Agora told only that it runs.
        sid: Option<String>,
    },
    /// It runs already, on an earlier resource of the same cname and uid (400/53): its session was told to nobody.
    RecordingElsewhere,
    /// The resource is too old to start on.
    ResourceExpired,
    /// The converter runs: just created, or found under its name.
    Converting {
        /// Its id.
        converter_id: String,
    },
    /// The ingest has new keys.
    KeysRotated,
    /// What the public host says of the ingest.
    Feed(FeedReading),
    /// There is no manifest; whether something streams was not asked.
    NotYetPlayable,
    /// What Agora says of the egress.
    Egress(EgressReading),
    /// Whether the seller is among the channel's hosts.
    Hosts {
        /// Whether.
        present: bool,
    },
    /// The egress was told its target once more.
    Updated,
    /// The egress is stopped.
    Stopped,
    /// The ingest is disabled.
    Disabled,
    /// The ingest is deleted.
    Deleted,
    /// It is not there.
    NotFound,
    /// The recordings of the ingest that the poll could see.
    Recordings(Vec<Recording>),
}

/// What the public host says of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReading {
    /// `/lifecycle`: it is actively streaming.
    pub live: bool,
    /// Whether the manifest can be played; none when it was not asked for.
    pub playable: Option<bool>,
    /// The recording that is being recorded.
    pub recording_uid: Option<String>,
}

/// What Agora says of an egress.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EgressReading {
    /// Its output publishes.
    Publishing,
    /// It is on its way, or says something unknown.
    Connecting,
    /// It runs, its output does not.
    Disconnected,
    /// It has failed and will not mend itself, but is still there.
    Failed,
    /// It has exited.
    Exited,
    /// 404: gone, or moved by Agora and back in a while.
    NotFound,
}

/// A vendor's notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Hint {
    /// Cloudflare: an encoder has connected.
    FeedConnected,
    /// Cloudflare: the encoder has gone.
    FeedDisconnected,
    /// Cloudflare: the feed was refused.
    FeedErrored {
        /// Cloudflare's code and words.
        reason: String,
    },
    /// Cloudflare: a recording of this ingest is ready or failed.
    RecordingDone,
    /// Agora: the seller has joined.
    SellerJoined,
    /// Agora: the seller has left.
    SellerLeft,
    /// Agora: something has changed about the egress with this session.
    EgressChanged {
        /// Its label.
        cname: String,
        /// Its session.
        sid: String,
    },
    /// Agora: something has changed about the converter.
    ConverterChanged,
    /// The recorder's page: it cannot join the channel.
    PageCannotJoin {
        /// Why.
        trouble: PageTrouble,
    },
}
