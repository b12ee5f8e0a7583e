//! The vendor calls that a relay issues.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::egress::{EgressHandle, EgressRef};

/// Names an action and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId {
    /// Counts the runs of the relay's actor.
    pub incarnation: u32,
    /// Counts the actions of a run.
    pub number: u32,
}

/// A call to make once the step's facts are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Action {
    pub id: ActionId,
    pub call: Call,
}

/// A vendor call. The caller adds secrets such as the ingest's keys.
///
/// `attempt` counts the relay's objects of one type and is part of their tag; `ingest` is an id.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(tag = "call", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Call {
    /// Take the ingest that the channel keeps, if it keeps one. May be repeated.
    ClaimIngest,
    /// [`super::CreateRepeat`] says how it is repeated.
    CreateIngest {
        attempt: u32,
    },
    /// By its tag.
    FindIngest {
        attempt: u32,
    },
    /// The first of two steps, for a backend that has two.
    PrepareEgress {
        attempt: u32,
    },
    /// A repeat finds the egress: by its preparation, byte for byte the same, or by its tag.
    StartEgress {
        attempt: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preparation: Option<EgressHandle>,
        ingest: String,
    },
    /// Earlier egresses cannot publish any more.
    RenewIngestKey {
        ingest: String,
    },
    /// End the broadcast of an earlier show, and take publishers again. May be repeated.
    EndBroadcast {
        ingest: String,
    },
    /// Ask whether the ingest streams.
    PollFeed {
        ingest: String,
        probe_manifest: bool,
        /// Request the manifest first, and stop if it is missing.
        #[serde(default)]
        manifest_first: bool,
    },
    PollEgress(EgressRef),
    /// Ask Agora for the channel's hosts.
    PollHosts,
    /// Send the egress its target URL again.
    UpdateEgress {
        egress: EgressRef,
        ingest: String,
    },
    StopEgress(EgressRef),
    /// Nobody can publish after it.
    CloseIngest {
        ingest: String,
        /// The egress may still run: this call gets priority.
        urgent: bool,
    },
    PollRecordings {
        ingest: String,
        /// Request the ingest's own list, not the shared one.
        thorough: bool,
    },
    /// The ingest's recordings stay.
    RemoveIngest {
        ingest: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextCall {
    pub(super) call: Call,
    pub(super) due: DateTime<Utc>,
}
