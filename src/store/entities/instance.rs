//! `instance`: the one row that says which database this is, which epoch was drawn last, and who does what is done once for all.

use sea_orm::entity::prelude::*;

use crate::store::Instance;

/// The row of `instance`; `id` is 1.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub database_id: String,
    pub epoch: i64,
    pub created_at: DateTimeUtc,
    /// The epoch of the node that does what is done once for all.
    pub leader: i64,
}

/// None: rows are joined by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Instance {
    fn from(model: Model) -> Self {
        Self {
            database_id: model.database_id,
            epoch: model.epoch,
        }
    }
}
