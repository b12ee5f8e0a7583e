//! `stream_costs`: the ledger, one row per relay.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::id::Id;
use crate::relay::Source;
use crate::store::{LedgerRow, Named};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stream_costs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub relay_id: Id,
    pub channel_id: i64,
    pub stream_key_id: Option<String>,
    pub duration_seconds: i64,
    pub cost_cents: i64,
    pub cost_micros: i64,
    pub agora_cost_micros: i64,
    pub source: Named<Source>,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&LedgerRow> for ActiveModel {
    fn from(cost: &LedgerRow) -> Self {
        Self {
            relay_id: Set(cost.relay_id.into()),
            channel_id: Set(cost.channel_id),
            stream_key_id: Set(cost.stream_key_id.clone()),
            duration_seconds: Set(cost.duration_seconds),
            cost_cents: Set(cost.cost_cents),
            cost_micros: Set(cost.cost_micros),
            agora_cost_micros: Set(cost.agora_cost_micros),
            source: Set(cost.source.clone()),
            created_at: Set(cost.created_at),
            ..Default::default()
        }
    }
}

impl From<Model> for LedgerRow {
    fn from(model: Model) -> Self {
        Self {
            relay_id: model.relay_id.0,
            channel_id: model.channel_id,
            stream_key_id: model.stream_key_id,
            duration_seconds: model.duration_seconds,
            cost_cents: model.cost_cents,
            cost_micros: model.cost_micros,
            agora_cost_micros: model.agora_cost_micros,
            source: model.source,
            created_at: model.created_at,
        }
    }
}
