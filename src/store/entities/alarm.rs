//! `alarms`: causes that need an operator.

use sea_orm::entity::prelude::*;

/// An alarm: the fields of its [`AlarmKey`](crate::store::AlarmKey), and details.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alarms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: String,
    /// A sentence for the operator.
    pub detail: String,
    pub since: DateTimeUtc,
    /// When the cause was last seen.
    pub last_seen_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
