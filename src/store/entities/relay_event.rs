//! `relay_events`: the journal. The last `seq` of a relay is its `revision`. `epoch` is the node that wrote the entry.

use sea_orm::entity::prelude::*;

use super::from_text;
use crate::relay::Phase;
use crate::store::sql::to_the_microsecond;
use crate::store::{Id, JournalEntry, Named, StoreError, StoredEntry, StoredRelay};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "relay_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub relay_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at: DateTimeUtc,
    pub kind: String,
    pub phase: Named<Phase>,
    pub data: String,
    pub actions: String,
    pub epoch: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub fn new(relay: &StoredRelay, seq: i64, entry: &JournalEntry) -> Self {
        Self {
            relay_id: relay.id,
            seq,
            at: to_the_microsecond(entry.at),
            kind: entry.kind.clone(),
            phase: entry.phase.clone(),
            data: entry.data.to_string(),
            actions: entry.actions.to_string(),
            epoch: Some(relay.epoch),
        }
    }
}

impl TryFrom<Model> for StoredEntry {
    type Error = StoreError;

    fn try_from(model: Model) -> Result<Self, StoreError> {
        Ok(Self {
            seq: model.seq,
            entry: JournalEntry {
                at: model.at,
                kind: model.kind,
                phase: model.phase,
                data: from_text(&model.data, "relay_events.data")?,
                actions: from_text(&model.actions, "relay_events.actions")?,
            },
        })
    }
}
