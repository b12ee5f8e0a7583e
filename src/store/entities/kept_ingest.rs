//! `kept_ingests`: ingests that channels keep, one per channel and platform.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::relay::Latency;
use crate::store::JsonText;

/// The holder while a cleanup job renews the key.
pub const CLEANUP: &str = "cleanup";

/// An ingest that a channel keeps.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kept_ingests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub platform: String,
    /// The platform's id.
    pub ingest_id: String,
    /// The tag it bears: of the relay that created it.
    pub tag: String,
    pub hls_url: String,
    pub dash_url: Option<String>,
    /// See [`Model::options`].
    pub options: JsonText,
    /// Who may make calls that change it: a relay's id, or `cleanup`.
    pub holder: Option<String>,
    /// When it was claimed.
    pub held_since: Option<DateTimeUtc>,
    /// Whether its key must be renewed before an egress starts: an earlier egress may come back.
    pub key_stale: bool,
    /// Counts the renewals of its key.
    pub key_version: i32,
    /// Whether the end of a broadcast was begun and not finished: the platform may refuse publishers.
    pub reopen: bool,
    /// When the last publisher was gone, if there was one.
    pub quiet_since: Option<DateTimeUtc>,
    /// The sessions of the last broadcasts.
    pub last_sessions: JsonText,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The settings that the platform has for a kept ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptIngestOptions {
    /// For people.
    pub title: String,
    pub feed_timeout_seconds: u32,
    pub delete_recording_after_days: Option<u16>,
    #[serde(default)]
    pub latency: Latency,
}

impl Model {
    /// The relay that holds it.
    #[must_use]
    pub fn relay_id(&self) -> Option<Uuid> {
        self.holder.as_deref()?.parse().ok()
    }

    /// The settings that the platform has, unless this version cannot read them.
    pub fn options(&self) -> serde_json::Result<KeptIngestOptions> {
        self.options.read()
    }
}
