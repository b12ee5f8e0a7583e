//! `outbox_head`: one row. `last_id` is the outbox's last number; whoever draws the next one holds the row until it
//! commits. `delivers`: whether messages are to be delivered as well; `disabled_since`: since when the endpoint is not
//! tried any more but now and then.

use sea_orm::entity::prelude::*;

/// The row of `outbox_head`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_head")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub last_id: i64,
    pub delivers: bool,
    pub disabled_since: Option<DateTimeUtc>,
}

/// None: rows are joined by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
