//! `ended_sessions`: sessions of the console that were signed out, until they would have expired.

use sea_orm::entity::prelude::*;

/// A row of `ended_sessions`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ended_sessions")]
pub struct Model {
    /// A digest of the cookie, in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: String,
    pub expires_at: DateTimeUtc,
}

/// None: rows are joined by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
