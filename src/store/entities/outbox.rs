//! `outbox`: messages to the marketplace.

use sea_orm::entity::prelude::*;

use crate::relay::Announcement;
use crate::store::{Id, Named};

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Its number: without gaps, in the order of commits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub relay_id: Id,
    pub channel_id: i64,
    /// Its number within the relay, from 1.
    pub sequence: i64,
    #[sea_orm(column_name = "type")]
    pub kind: Named<Announcement>,
    /// JSON on one line, always the same bytes.
    pub body: String,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
