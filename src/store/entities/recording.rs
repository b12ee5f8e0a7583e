//! `recordings`: videos on demand that the platform keeps.

use sea_orm::entity::prelude::*;

use super::id::Id;
use crate::relay::RecordingState;
use crate::store::{Named, RecordingRow};

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "recordings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub relay_id: Id,
    pub channel_id: i64,
    pub state: Named<RecordingState>,
    pub duration_seconds: Option<f64>,
    pub hls_url: Option<String>,
    pub dash_url: Option<String>,
    pub thumbnail_url: Option<String>,
    pub created_at: DateTimeUtc,
    pub ready_at: Option<DateTimeUtc>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&RecordingRow> for Model {
    fn from(recording: &RecordingRow) -> Self {
        Self {
            id: recording.id.clone(),
            relay_id: recording.relay_id.into(),
            channel_id: recording.channel_id,
            state: recording.state.clone(),
            duration_seconds: recording.duration_seconds,
            hls_url: recording.hls_url.clone(),
            dash_url: recording.dash_url.clone(),
            thumbnail_url: recording.thumbnail_url.clone(),
            created_at: recording.created_at,
            ready_at: recording.ready_at,
        }
    }
}

impl From<Model> for RecordingRow {
    fn from(model: Model) -> Self {
        Self {
            id: model.id,
            relay_id: model.relay_id.0,
            channel_id: model.channel_id,
            state: model.state,
            duration_seconds: model.duration_seconds,
            hls_url: model.hls_url,
            dash_url: model.dash_url,
            thumbnail_url: model.thumbnail_url,
            created_at: model.created_at,
            ready_at: model.ready_at,
        }
    }
}
