//! `outbox`: messages to the marketplace.

use sea_orm::entity::prelude::*;

use super::id::Id;
use crate::relay::Announcement;
use crate::store::{Named, OutboxMessage};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub relay_id: Id,
    pub channel_id: i64,
    pub sequence: i64,
    #[sea_orm(column_name = "type")]
    pub kind: Named<Announcement>,
    pub body: String,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for OutboxMessage {
    fn from(model: Model) -> Self {
        Self {
            id: model.id,
            channel_id: model.channel_id,
            kind: model.kind,
            body: model.body,
        }
    }
}
