//! What a relay leaves to be removed at a vendor when it goes on without an answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a cleanup job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(CleanupKind),
    doc = "The kind of a cleanup job.",
    derive(
        Hash,
        strum::Display,
        strum::EnumString,
        strum::IntoStaticStr,
        strum::VariantNames
    ),
    strum(serialize_all = "snake_case"),
    allow(missing_docs, reason = "the names suffice")
)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Cleanup {
    /// Stop this egress. A 404 is checked again: Agora may be moving the task (`agora.md §8.1`).
    StopEgress {
        resource_id: String,
        /// Resources it may run on instead: a start on each is in doubt.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_resources: Vec<String>,
        sid: String,
        cname: String,
        uid: u32,
    },
    /// Stop an egress of unknown session, once a notification names it. It ends at `maxRecordingHour` anyway.
    UnknownEgress {
        resource_id: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_resources: Vec<String>,
        cname: String,
        uid: u32,
    },
    DeleteConverter {
        converter_id: String,
        region: String,
    },
    /// Find a converter by its tag and delete it.
    FindConverter {
        name: String,
        region: String,
    },
    /// Find an ingest by its tag and delete it.
    FindIngest {
        tag: String,
    },
    DisableIngest {
        id: String,
    },
    /// Disable this ingest, which something published into after its relay ended.
    DisableStray {
        id: String,
    },
    DeleteIngest {
        id: String,
    },
    DeleteRecording {
        id: String,
    },
    /// Search again for recordings.
    FindRecordings {
        ingest: String,
    },
}

impl Cleanup {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> CleanupKind {
        self.into()
    }

    /// The vendor's id of the object. With the kind, it identifies the cleanup job.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Self::StopEgress { sid, .. } => sid,
            Self::UnknownEgress { cname, .. } => cname,
            Self::DeleteConverter { converter_id, .. } => converter_id,
            Self::FindConverter { name, .. } => name,
            Self::FindIngest { tag } => tag,
            Self::DisableIngest { id }
            | Self::DisableStray { id }
            | Self::DeleteIngest { id }
            | Self::DeleteRecording { id } => id,
            Self::FindRecordings { ingest } => ingest,
        }
    }
}

/// A cleanup and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupJob {
    /// What to do.
    #[serde(flatten)]
    pub cleanup: Cleanup,
    /// Earliest time of the first try.
    pub due: DateTime<Utc>,
    /// When the vendor's own limit has removed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
}
