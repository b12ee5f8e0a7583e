//! `nodes`: the processes that act on this database. A row goes when its lease is over, and with it all that bears its epoch is free.

use sea_orm::entity::prelude::*;

/// A row of `nodes`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    pub name: String,
    pub joined_at: DateTimeUtc,
    pub lease_until: DateTimeUtc,
    pub leaving: bool,
}

/// None: rows are joined by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
