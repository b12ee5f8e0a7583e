//! `alarms`: causes that need an operator.

use sea_orm::entity::prelude::*;

use crate::store::AlarmRow;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alarms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: String,
    pub detail: String,
    pub since: DateTimeUtc,
    pub last_seen_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for AlarmRow {
    fn from(model: Model) -> Self {
        Self {
            code: model.code,
            subject: model.subject,
            node: model.node,
            detail: model.detail,
            since: model.since,
            last_seen_at: model.last_seen_at,
        }
    }
}
