use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::watch;

use crate::store::entities::{outbox, outbox_head};
use crate::store::{OutboxMessage, Store, StoreError};

impl Store {
    /// Up to `limit` messages after number `after`, oldest first. Reading on from the last number misses no message.
    pub async fn outbox_after(
        &self,
        after: i64,
        channel_id: Option<i64>,
        limit: u64,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        let mut select = outbox::Entity::find()
            .filter(outbox::Column::Id.gt(after))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        if let Some(channel_id) = channel_id {
            select = select.filter(outbox::Column::ChannelId.eq(channel_id));
        }
        Ok(select.all(&self.read()).await?)
    }

    /// The number of the newest message, purged or not; 0 if there was none.
    pub async fn last_outbox_id(&self) -> Result<i64, StoreError> {
        let head = outbox_head::Entity::find_by_id(1).one(&self.read()).await?;
        Ok(head.map_or(0, |head| head.last_id))
    }

    /// The number of the oldest message that is kept.
    pub async fn oldest_outbox_id(&self) -> Result<Option<i64>, StoreError> {
        let oldest = outbox::Entity::find()
            .order_by_asc(outbox::Column::Id)
            .one(&self.read())
            .await?;
        Ok(oldest.map(|oldest| oldest.id))
    }

    /// Changes after each commit of this process that wrote to the outbox or its deliveries, and on other nodes'
    /// signals, which may be lost: receivers must also poll.
    #[must_use]
    pub fn outbox_changes(&self) -> watch::Receiver<()> {
        self.inner.writer.outbox_changes()
    }
}
