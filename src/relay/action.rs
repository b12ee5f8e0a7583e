//! What a relay asks of the shell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Names one action of one incarnation of a relay; its result echoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId {
    /// Which life of the relay's actor.
    pub incarnation: u32,
    /// Which of that life.
    pub number: u32,
}

/// A vendor call to make, once the step it comes from is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub id: ActionId,
    /// The call.
    pub call: Call,
}

/// A vendor call. Names vendor objects by their ids; secrets (an ingest's keys) are the shell's affair.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(tag = "call", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    /// Create the ingest, under `Idempotency-Key` = mark: a repeat within 6 hours finds the same one.
    CreateIngest {
        /// Which try: part of the tag.
        attempt: u32,
    },
    /// Find the ingest by its tag in the list.
    FindIngest {
        /// Which try: part of the tag.
        attempt: u32,
    },
    /// Cloud Recording: acquire a resource, with the permits for the start.
    Acquire {
        /// Which egress: part of its cname.
        attempt: u32,
    },
    /// Cloud Recording: start the egress; byte for byte the same on a repeat.
    StartEgress {
        /// Which egress.
        attempt: u32,
        /// The resource.
        resource_id: String,
        /// Where it pushes.
        ingest: String,
    },
    /// Media Push: create the converter; a repeat finds the same one under its name.
    CreateConverter {
        /// Which: part of its name.
        attempt: u32,
        /// Where it pushes.
        ingest: String,
    },
    /// Give the ingest new keys, so that no egress of before can publish.
    RotateKeys {
        /// Which.
        ingest: String,
    },
    /// Ask the public host whether the ingest streams.
    PollFeed {
        /// Which.
        ingest: String,
        /// Whether to ask for the manifest too.
        probe_manifest: bool,
        /// Whether to ask for it first, and for nothing else while it is not there.
        #[serde(default)]
        manifest_first: bool,
    },
    /// Ask Agora how the egress is.
    PollEgress(EgressRef),
    /// Ask Agora who is in the channel.
    PollHosts,
    /// Tell the egress its target once more.
    UpdateEgress {
        /// Which.
        egress: EgressRef,
        /// Where it pushes.
        ingest: String,
    },
    /// Stop the egress.
    StopEgress(EgressRef),
    /// Disable the ingest.
    DisableIngest {
        /// Which.
        ingest: String,
        /// The egress is not known to be stopped: this must not wait.
        urgent: bool,
    },
    /// Look for the ingest's recordings.
    PollRecordings {
        /// Which.
        ingest: String,
        /// Ask for this ingest's own list, not the one shared with others.
        thorough: bool,
    },
    /// Delete the ingest; its recordings stay.
    DeleteIngest {
        /// Which.
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
        /// Where it runs.
        region: String,
    },
}

/// A Cloud Recording task by its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudTask {
    /// The resource it runs on.
    pub resource_id: String,
    /// Its session.
    pub sid: String,
    /// Its label.
    pub cname: String,
    /// Its uid.
    pub uid: u32,
}

/// When a call is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextCall {
    pub(super) call: Call,
    pub(super) due: DateTime<Utc>,
}
