//! The vendor calls that a relay issues.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// The call.
    pub call: Call,
}

/// A vendor call. The caller adds secrets such as the ingest's keys.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(tag = "call", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    /// Create the ingest, with its tag as `Idempotency-Key`: a repeat within 6 hours finds it.
    CreateIngest {
        /// Part of the tag.
        attempt: u32,
    },
    /// Find the ingest by its tag in the list.
    FindIngest {
        /// Part of the tag.
        attempt: u32,
    },
    /// Cloud Recording: acquire a resource, with the permit for the start.
    Acquire {
        /// Part of the cname.
        attempt: u32,
    },
    /// Cloud Recording: start the egress. A repeat is byte for byte the same.
    StartEgress {
        /// Number of the egress.
        attempt: u32,
        /// Its resource.
        resource_id: String,
        /// Its target.
        ingest: String,
    },
    /// Media Push: create the converter. A repeat finds it by its name.
    CreateConverter {
        /// Part of its name.
        attempt: u32,
        /// Its target.
        ingest: String,
    },
    /// Rotate the ingest's keys: earlier egresses cannot publish any more.
    RotateKeys {
        /// The ingest.
        ingest: String,
    },
    /// Ask the public host whether the ingest streams.
    PollFeed {
        /// The ingest.
        ingest: String,
        /// Request the manifest too.
        probe_manifest: bool,
        /// Request the manifest first, and stop if it is missing.
        #[serde(default)]
        manifest_first: bool,
    },
    /// Ask Agora for the state of the egress.
    PollEgress(EgressRef),
    /// Ask Agora for the channel's hosts.
    PollHosts,
    /// Send the egress its target URL again.
    UpdateEgress {
        /// The egress.
        egress: EgressRef,
        /// Its target.
        ingest: String,
    },
    /// Stop the egress.
    StopEgress(EgressRef),
    /// Disable the ingest.
    DisableIngest {
        /// The ingest.
        ingest: String,
        /// The egress may still run: this call gets priority.
        urgent: bool,
    },
    /// Find the ingest's recordings.
    PollRecordings {
        /// The ingest.
        ingest: String,
        /// Request the ingest's own list, not the shared one.
        thorough: bool,
    },
    /// Delete the ingest. Its recordings stay.
    DeleteIngest {
        /// The ingest.
        ingest: String,
    },
}

/// An egress by its vendor ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "product", rename_all = "snake_case")]
pub enum EgressRef {
    /// A Cloud Recording task.
    CloudRecording(CloudTask),
    /// A Media Push converter.
    MediaPush {
        /// Its id.
        converter_id: String,
        /// Its region.
        region: String,
    },
}

/// A Cloud Recording task by its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudTask {
    /// Its resource.
    pub resource_id: String,
    /// Its session.
    pub sid: String,
    /// Its label.
    pub cname: String,
    /// Its uid.
    pub uid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextCall {
    pub(super) call: Call,
    pub(super) due: DateTime<Utc>,
}
