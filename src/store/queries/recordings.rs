use std::sync::Arc;
use std::time::Instant;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::relay::RecordingState;
use crate::store::entities::recording;
use crate::store::last_recordings::Lookup;
use crate::store::{Id, Named, RecordingRow, Store, StoreError};

impl Store {
    /// A relay's recordings, oldest first.
    pub async fn recordings_of(&self, relay_id: Uuid) -> Result<Vec<RecordingRow>, StoreError> {
        use recording::Column as C;
        Ok(recording::Entity::find()
            .filter(C::RelayId.eq(Id(relay_id)))
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id)
            .all(&self.read())
            .await?)
    }

    /// A channel's newest playable recording. Cached until this process writes one; if other processes may, for one
    /// second.
    pub async fn last_ready_recording(
        &self,
        channel_id: i64,
    ) -> Result<Option<RecordingRow>, StoreError> {
        use recording::Column as C;
        let (known, asked_at) = (&self.inner.last_recordings, Instant::now());
        let ticket = match known.look_up(channel_id, asked_at) {
            Lookup::Hit(last) => return Ok(last.map(Arc::unwrap_or_clone)),
            Lookup::Miss(ticket) => ticket,
        };
        let row = recording::Entity::find()
            .filter(C::ChannelId.eq(channel_id))
            .filter(C::State.eq(Named::from(RecordingState::Ready)))
            .filter(C::ReadyAt.is_not_null())
            .filter(C::HlsUrl.is_not_null())
            .order_by_desc(C::ReadyAt)
            .order_by_desc(C::Id)
            .one(&self.read())
            .await?;
        let last: Option<Arc<RecordingRow>> = row.map(Arc::new);
        known.learn(channel_id, ticket, last.clone(), asked_at);
        Ok(last.map(Arc::unwrap_or_clone))
    }
}
