//! `cleanup_jobs`: what a finished relay still has to remove at a vendor.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::relay::{Cleanup, CleanupKind};
use crate::store::{Id, JsonText, Named};

/// A cleanup job. One exists per `platform`, `kind` and `target`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cleanup_jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub relay_id: Id,
    pub channel_id: i64,
    /// Of the object, or of the relay whose egress it is.
    pub platform: String,
    pub kind: Named<CleanupKind>,
    /// The vendor's id of the object.
    pub target: String,
    /// See [`Model::cleanup`].
    pub data: JsonText,
    pub created_at: DateTimeUtc,
    pub next_attempt_at: DateTimeUtc,
    /// When the vendor's own limit makes it unnecessary.
    pub expires_at: Option<DateTimeUtc>,
    /// Failed attempts.
    pub attempts: i32,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// A new job, due at once.
    #[must_use]
    pub fn of(
        cleanup: &Cleanup,
        relay_id: Uuid,
        channel_id: i64,
        platform: &str,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::now_v7().into(),
            relay_id: relay_id.into(),
            channel_id,
            platform: platform.to_owned(),
            kind: cleanup.kind().into(),
            target: cleanup.target().into_owned(),
            data: JsonText::of(cleanup),
            created_at: at,
            next_attempt_at: at,
            expires_at: None,
            attempts: 0,
            last_error: None,
        }
    }

    /// What to do, unless this version cannot read it.
    pub fn cleanup(&self) -> serde_json::Result<Cleanup> {
        self.data.read()
    }
}
