//! `relays`: one row per broadcast. `state` is authoritative; the columns are for queries and cleanup.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use strum::IntoEnumIterator as _;

use super::id::Id;
use crate::relay::{BackendKind, OutcomeCode, Phase, RelayStatus};
use crate::store::{Named, RelayRow, StoredRelay};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "relays")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub channel_id: i64,
    pub channel_name: String,
    pub seller_uid: i64,
    pub phase: Named<Phase>,
    pub relay_status: Named<RelayStatus>,
    pub backend: Named<BackendKind>,
    pub region: Option<String>,
    pub ingest_id: Option<String>,
    pub agora_resource_id: Option<String>,
    pub agora_recording_cname: Option<String>,
    pub agora_recording_uid: Option<i64>,
    pub agora_sid: Option<String>,
    pub agora_converter_id: Option<String>,
    pub outcome: Option<Named<OutcomeCode>>,
    pub requested_at: DateTimeUtc,
    pub started_at: Option<DateTimeUtc>,
    pub live_at: Option<DateTimeUtc>,
    pub stopped_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub state: String,
    pub state_version: i32,
    pub epoch: i64,
    pub revision: i64,
    /// Written by any node that requests a stop, never by the owner.
    pub stop_requested_at: Option<DateTimeUtc>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whether the relay holds its channel's slot.
pub fn holds_slot() -> SimpleExpr {
    let phases = Phase::iter().filter(|phase| phase.holds_slot());
    Column::Phase.is_in(phases.map(Named::Known))
}

impl Model {
    pub fn new(row: &RelayRow, epoch: i64, revision: i64) -> Self {
        Self {
            id: row.id.into(),
            channel_id: row.channel_id,
            channel_name: row.channel_name.clone(),
            seller_uid: row.seller_uid,
            phase: row.phase.clone(),
            relay_status: row.relay_status.clone(),
            backend: row.backend.clone(),
            region: row.region.clone(),
            ingest_id: row.ingest_id.clone(),
            agora_resource_id: row.agora_resource_id.clone(),
            agora_recording_cname: row.agora_recording_cname.clone(),
            agora_recording_uid: row.agora_recording_uid,
            agora_sid: row.agora_sid.clone(),
            agora_converter_id: row.agora_converter_id.clone(),
            outcome: row.outcome.clone(),
            requested_at: row.requested_at,
            started_at: row.started_at,
            live_at: row.live_at,
            stopped_at: row.stopped_at,
            ended_at: row.ended_at,
            state: row.state.to_string(),
            state_version: row.state_version,
            epoch,
            revision,
            stop_requested_at: None,
        }
    }
}

impl From<Model> for StoredRelay {
    fn from(model: Model) -> Self {
        // An unreadable state must not hide the columns: they name what cleanup has to remove.
        let state = serde_json::from_str(&model.state).unwrap_or_default();
        Self {
            epoch: model.epoch,
            revision: model.revision,
            row: RelayRow {
                id: model.id.0,
                channel_id: model.channel_id,
                channel_name: model.channel_name,
                seller_uid: model.seller_uid,
                phase: model.phase,
                relay_status: model.relay_status,
                backend: model.backend,
                region: model.region,
                ingest_id: model.ingest_id,
                agora_resource_id: model.agora_resource_id,
                agora_recording_cname: model.agora_recording_cname,
                agora_recording_uid: model.agora_recording_uid,
                agora_sid: model.agora_sid,
                agora_converter_id: model.agora_converter_id,
                outcome: model.outcome,
                requested_at: model.requested_at,
                started_at: model.started_at,
                live_at: model.live_at,
                stopped_at: model.stopped_at,
                ended_at: model.ended_at,
                state,
                state_version: model.state_version,
            },
        }
    }
}
