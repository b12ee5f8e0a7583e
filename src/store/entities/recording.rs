//! `recordings`: videos on demand that the platform keeps.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::relay::{Durable, Recording, RecordingState};
use crate::store::{Id, Named};

/// A video on demand that the platform keeps of a relay.
#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "recordings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub platform: String,
    /// The platform's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub relay_id: Id,
    pub channel_id: i64,
    pub state: Named<RecordingState>,
    pub duration_seconds: Option<f64>,
    pub hls_url: Option<String>,
    pub dash_url: Option<String>,
    pub thumbnail_url: Option<String>,
    /// Where it is, if the platform does not play it.
    pub location: Option<String>,
    /// When it was first seen.
    pub created_at: DateTimeUtc,
    pub ready_at: Option<DateTimeUtc>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The row of a relay's recording that is first seen, or ready, at `now`.
    #[must_use]
    pub fn of(recording: &Recording, durable: &Durable, now: DateTime<Utc>) -> Self {
        Self {
            platform: durable.spec.platform.to_string(),
            id: recording.id.clone(),
            relay_id: durable.spec.relay_id.into(),
            channel_id: durable.spec.channel_id,
            state: recording.state.into(),
            duration_seconds: recording.duration_ms.map(seconds),
            hls_url: recording.hls_url().map(str::to_owned),
            dash_url: recording.dash_url().map(str::to_owned),
            thumbnail_url: recording.thumbnail_url().map(str::to_owned),
            location: recording.location().map(str::to_owned),
            created_at: now,
            ready_at: (recording.state == RecordingState::Ready).then_some(now),
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a recording is at most 7 days: 2^30 ms"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
