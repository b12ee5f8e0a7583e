//! `idempotency_keys`: which relay a request created, kept for 24 h.

use sea_orm::entity::prelude::*;

use super::id::Id;
use crate::store::IdempotencyRecord;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub request_hash: String,
    pub relay_id: Id,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&IdempotencyRecord> for Model {
    fn from(record: &IdempotencyRecord) -> Self {
        Self {
            key: record.key.clone(),
            request_hash: record.request_hash.clone(),
            relay_id: record.relay_id.into(),
            created_at: record.created_at,
        }
    }
}

impl From<Model> for IdempotencyRecord {
    fn from(model: Model) -> Self {
        Self {
            key: model.key,
            request_hash: model.request_hash,
            relay_id: model.relay_id.0,
            created_at: model.created_at,
        }
    }
}
