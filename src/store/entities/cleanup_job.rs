//! `cleanup_jobs`: what a finished relay still has to remove at a vendor.

use sea_orm::entity::prelude::*;

use super::{from_text, id::Id};
use crate::relay::CleanupKind;
use crate::store::{Named, NewCleanupJob, OpenCleanupJob, StoreError};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cleanup_jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub relay_id: Id,
    pub channel_id: i64,
    pub kind: Named<CleanupKind>,
    pub target: String,
    pub data: String,
    pub created_at: DateTimeUtc,
    pub next_attempt_at: DateTimeUtc,
    pub expires_at: Option<DateTimeUtc>,
    pub attempts: i32,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&NewCleanupJob> for Model {
    fn from(cleanup_job: &NewCleanupJob) -> Self {
        Self {
            id: cleanup_job.id.into(),
            relay_id: cleanup_job.relay_id.into(),
            channel_id: cleanup_job.channel_id,
            kind: cleanup_job.kind.clone(),
            target: cleanup_job.target.clone(),
            data: cleanup_job.data.to_string(),
            created_at: cleanup_job.created_at,
            next_attempt_at: cleanup_job.next_attempt_at,
            expires_at: cleanup_job.expires_at,
            attempts: 0,
            last_error: None,
        }
    }
}

impl TryFrom<Model> for OpenCleanupJob {
    type Error = StoreError;

    fn try_from(model: Model) -> Result<Self, StoreError> {
        Ok(Self {
            attempts: model.attempts,
            last_error: model.last_error,
            cleanup_job: NewCleanupJob {
                id: model.id.0,
                relay_id: model.relay_id.0,
                channel_id: model.channel_id,
                kind: model.kind,
                target: model.target,
                data: from_text(&model.data, "cleanup_jobs.data")?,
                created_at: model.created_at,
                next_attempt_at: model.next_attempt_at,
                expires_at: model.expires_at,
            },
        })
    }
}
