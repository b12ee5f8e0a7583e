//! What a relay leaves to be removed at a vendor when it goes on without an answer.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::egress::EgressRef;

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
    /// Stop this egress. If it is not found, that is checked again: its backend may be moving it (`agora.md §8.1`).
    StopEgress(EgressRef),
    /// Find an egress without a handle by its tag and stop it, or wait until a notification names it.
    FindEgress(EgressRef),
    /// Find an ingest by its tag and remove it.
    FindIngest {
        tag: String,
    },
    CloseIngest {
        id: String,
    },
    /// Close this ingest, which something published into after its relay ended.
    CloseStray {
        id: String,
    },
    RemoveIngest {
        id: String,
    },
    DeleteRecording {
        id: String,
    },
    /// Renew the key of an ingest that a channel keeps: an egress that may still run cannot publish then.
    RenewIngestKey {
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
    pub fn target(&self) -> Cow<'_, str> {
        match self {
            Self::StopEgress(egress) | Self::FindEgress(egress) => match &egress.handle {
                Some(handle) => handle.to_string().into(),
                None => egress.tag.as_str().into(),
            },
            Self::FindIngest { tag } => tag.into(),
            Self::CloseIngest { id }
            | Self::CloseStray { id }
            | Self::RemoveIngest { id }
            | Self::RenewIngestKey { id }
            | Self::DeleteRecording { id } => id.into(),
            Self::FindRecordings { ingest } => ingest.into(),
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
