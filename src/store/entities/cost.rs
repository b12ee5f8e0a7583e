//! `stream_costs`: the ledger.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use super::relay;
use crate::relay::{Cost, Source};
use crate::store::{Id, Named};

/// A relay's row of the cost ledger. The table's own `id` is not read.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stream_costs")]
pub struct Model {
    /// A second cost of the same relay is ignored.
    #[sea_orm(primary_key, auto_increment = false)]
    pub relay_id: Id,
    pub channel_id: i64,
    pub platform: String,
    /// The ingest's id.
    pub stream_key_id: Option<String>,
    /// Seconds charged.
    pub duration_seconds: i64,
    /// US cents, rounded up.
    pub cost_cents: i64,
    /// Millionths of a US dollar, exact.
    pub cost_micros: i64,
    /// Agora's part, millionths of a US dollar.
    pub agora_cost_micros: i64,
    /// Where the seconds come from.
    pub source: Named<Source>,
    /// When the relay ended.
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The row of a relay's cost.
    #[must_use]
    pub fn of(relay: &relay::Model, cost: Cost, created_at: DateTime<Utc>) -> Self {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            relay_id: relay.id,
            channel_id: relay.channel_id,
            platform: relay.platform.clone(),
            stream_key_id: relay.ingest_id.clone(),
            duration_seconds: whole(cost.duration_seconds),
            cost_cents: whole(cost.cost_cents),
            cost_micros: whole(cost.cost_micros),
            agora_cost_micros: whole(cost.agora_cost_micros),
            source: cost.source.into(),
            created_at,
        }
    }
}
