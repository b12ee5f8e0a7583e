//! `ended_sessions`: signed-out console sessions.

use sea_orm::entity::prelude::*;

/// A console session that was signed out.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ended_sessions")]
pub struct Model {
    /// Hexadecimal digest of its cookie.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: String,
    pub expires_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
