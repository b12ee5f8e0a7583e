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
pub enum Cleanup {
    /// Stop this egress. After a 404 it is looked for again: an Agora task in a fail-over answers 404 and comes back
    /// (`agora.md §8.1`).
    StopEgress {
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
    /// An egress that runs, or may run, and whose sid nobody told us: it is stopped when a notification names the sid, or
    /// ends by itself (`maxRecordingHour`).
    UnknownEgress {
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
        /// Its name: our tag.
        name: String,
        /// Where it would run.
        region: String,
    },
    /// Find an ingest by its tag, and delete it.
    FindIngest {
        /// Our mark.
        tag: String,
    },
    /// Disable this ingest.
    DisableIngest {
        /// Its uid.
        uid: String,
    },
    /// Disable this ingest: something published into it after its relay was over.
    DisableStray {
        /// Its uid.
        uid: String,
    },
    /// Delete this ingest.
    DeleteIngest {
        /// Its uid.
        uid: String,
    },
    /// Delete this video.
    DeleteRecording {
        /// Its uid.
        uid: String,
    },
    /// Look for recordings once more.
    FindRecordings {
        /// The ingest they came from.
        ingest: String,
    },
}

impl Cleanup {
    /// The vendor's own id of what it is about: with the kind, it names the cleanup job.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Self::StopEgress { sid, .. } => sid,
            Self::UnknownEgress { cname, .. } => cname,
            Self::DeleteConverter { converter_id, .. } => converter_id,
            Self::FindConverter { name, .. } => name,
            Self::FindIngest { tag } => tag,
            Self::DisableIngest { uid }
            | Self::DisableStray { uid }
            | Self::DeleteIngest { uid }
            | Self::DeleteRecording { uid } => uid,
            Self::FindRecordings { ingest } => ingest,
        }
    }
}

/// Something owed, and when to try first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupJob {
    /// What is owed.
    #[serde(flatten)]
    pub owed: Cleanup,
    /// Not before this.
    pub due: DateTime<Utc>,
    /// When the vendor's own limit has passed, and nothing is owed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
}
