//! `instance`: one row. `epoch` is the last one drawn, `leader` the leader's.

use sea_orm::entity::prelude::*;

use crate::store::Instance;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub database_id: String,
    pub epoch: i64,
    pub created_at: DateTimeUtc,
    pub leader: i64,
}

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
