//! `idempotency_keys`: which relay a request created, kept for 24 h.

use sea_orm::entity::prelude::*;

use crate::store::Id;

/// The relay that a request with an `Idempotency-Key` created or found.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub request_hash: String,
    pub relay_id: Id,
    /// When the key was first used.
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
