//! Whose the ingests of new relays are.

use serde::Deserialize;

/// `ingest.owner`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultIngestOwner {
    /// Each relay's own.
    #[default]
    Relay,
    /// The channel's, which keeps it.
    Channel,
}

/// `[ingest]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// A start may name another.
    pub owner: DefaultIngestOwner,
}
