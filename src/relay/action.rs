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

/// A vendor call. Names vendor objects by their ids; secrets (a live input's keys) are the shell's affair.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(tag = "call", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    /// Create the live input, under `Idempotency-Key` = mark: a repeat within 6 hours finds the same one.
    CreateLiveInput {
        /// Which try: part of the mark.
        attempt: u32,
    },
    /// Find the live input by its mark in the list.
    FindLiveInput {
        /// Which try: part of the mark.
        attempt: u32,
    },
    /// Cloud Recording: acquire a resource, with the permits for the start.
    Acquire {
        /// Which recorder: part of its cname.
        attempt: u32,
    },
    /// Cloud Recording: start the recorder; byte for byte the same on a repeat.
    StartRecorder {
        /// Which recorder.
        attempt: u32,
        /// The resource.
        resource_id: String,
        /// Where it pushes.
        live_input: String,
    },
    /// Media Push: create the converter; a repeat finds the same one under its name.
    CreateConverter {
        /// Which: part of its name.
        attempt: u32,
        /// Where it pushes.
        live_input: String,
    },
    /// Give the live input new keys, so that no recorder of before can publish.
    RotateKeys {
        /// Which.
        live_input: String,
    },
    /// Ask the public host whether the live input streams.
    LookAtFeed {
        /// Which.
        live_input: String,
        /// Whether to ask for the manifest too.
        probe_manifest: bool,
        /// Whether to ask for it first, and for nothing else while it is not there.
        #[serde(default)]
        manifest_first: bool,
    },
    /// Ask Agora how the recorder is.
    LookAtRecorder(RecorderRef),
    /// Ask Agora who is in the channel.
    LookAtHosts,
    /// Tell the recorder its target once more.
    UpdateRecorder {
        /// Which.
        recorder: RecorderRef,
        /// Where it pushes.
        live_input: String,
    },
    /// Stop the recorder.
    StopRecorder(RecorderRef),
    /// Disable the live input.
    DisableLiveInput {
        /// Which.
        live_input: String,
        /// The recorder is not known to be stopped: this must not wait.
        urgent: bool,
    },
    /// Look for the live input's videos.
    LookForRecordings {
        /// Which.
        live_input: String,
        /// Ask for this live input's own list, not the one shared with others.
        thorough: bool,
    },
    /// Delete the live input; its videos stay.
    DeleteLiveInput {
        /// Which.
        live_input: String,
    },
}

/// A recorder by its vendor ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "product", rename_all = "snake_case")]
pub enum RecorderRef {
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
pub(super) struct Want {
    pub(super) call: Call,
    pub(super) due: DateTime<Utc>,
}
