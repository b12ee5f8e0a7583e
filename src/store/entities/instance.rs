//! `instance`: one row.

use sea_orm::entity::prelude::*;

/// The identity of the database.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Eight lower-case hexadecimal digits: the second part of the resource tag.
    pub database_id: String,
    /// The last fencing token drawn; 0 before the first.
    pub epoch: i64,
    pub created_at: DateTimeUtc,
    /// The leader's epoch.
    pub leader: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
