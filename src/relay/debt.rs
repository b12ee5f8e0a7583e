//! What a relay still owes a vendor when it goes on without an answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What is owed.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Owed {
    /// Stop this recorder. After a 404 it is looked for again: an Agora task in a fail-over answers 404 and comes back
    /// (`agora.md §8.1`).
    StopRecorder {
        /// The resource it runs on.
        resource_id: String,
        /// Resources it may run on instead: a start on each may have been carried out, and the answers were lost.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_resources: Vec<String>,
        /// Its session.
        sid: String,
        /// Its label.
        cname: String,
        /// Its uid.
        uid: u32,
    },
    /// A recorder that runs, or may run, and whose sid nobody told us: it is stopped when a notification names the sid, or
    /// ends by itself (`maxRecordingHour`).
    UnknownRecorder {
        /// The resource it was started on.
        resource_id: String,
        /// Resources it may run on instead: a start on each may have been carried out, and the answers were lost.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_resources: Vec<String>,
        /// Its label.
        cname: String,
        /// Its uid.
        uid: u32,
    },
    /// Delete this converter.
    DeleteConverter {
        /// Its id.
        converter_id: String,
        /// Where it runs.
        region: String,
    },
    /// Find a converter by its name, and delete it.
    FindConverter {
        /// Its name: our mark.
        name: String,
        /// Where it would run.
        region: String,
    },
    /// Find a live input by its mark, and delete it.
    FindLiveInput {
        /// Our mark.
        mark: String,
    },
    /// Disable this live input.
    DisableLiveInput {
        /// Its uid.
        uid: String,
    },
    /// Disable this live input: something published into it after its relay was over.
    DisableGhost {
        /// Its uid.
        uid: String,
    },
    /// Delete this live input.
    DeleteLiveInput {
        /// Its uid.
        uid: String,
    },
    /// Delete this video.
    DeleteVideo {
        /// Its uid.
        uid: String,
    },
    /// Look for recordings once more.
    FindRecordings {
        /// The live input they came from.
        live_input: String,
    },
}

impl Owed {
    /// The vendor's own id of what it is about: with the kind, it names the debt.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Self::StopRecorder { sid, .. } => sid,
            Self::UnknownRecorder { cname, .. } => cname,
            Self::DeleteConverter { converter_id, .. } => converter_id,
            Self::FindConverter { name, .. } => name,
            Self::FindLiveInput { mark } => mark,
            Self::DisableLiveInput { uid }
            | Self::DisableGhost { uid }
            | Self::DeleteLiveInput { uid }
            | Self::DeleteVideo { uid } => uid,
            Self::FindRecordings { live_input } => live_input,
        }
    }
}

/// Something owed, and when to try first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// What is owed.
    #[serde(flatten)]
    pub owed: Owed,
    /// Not before this.
    pub due: DateTime<Utc>,
    /// When the vendor's own limit has passed, and nothing is owed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
}
