//! The outbox, read in the order of its numbers: which is that of the commits.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::watch;

use crate::store::entities::{outbox, outbox_head};
use crate::store::{OutboxMessage, Store, StoreError};

impl Store {
    /// The messages after number `after`, the oldest first, at most `limit`; of one channel, or of all. A later read with
    /// the last number seen misses none.
    ///
    /// # Errors
    /// As [`Store::relay`].
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
        let rows = select.all(&self.read()).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The outbox's last number: that of the newest message, also when it is not kept any more. 0 before the first.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn last_outbox_id(&self) -> Result<i64, StoreError> {
        let head = outbox_head::Entity::find_by_id(1).one(&self.read()).await?;
        Ok(head.map_or(0, |head| head.last_id))
    }

    /// The number of the oldest message that is kept.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn oldest_outbox_id(&self) -> Result<Option<i64>, StoreError> {
        let oldest = outbox::Entity::find()
            .order_by_asc(outbox::Column::Id)
            .one(&self.read())
            .await?;
        Ok(oldest.map(|oldest| oldest.id))
    }

    /// Changes when this process has written to the outbox, or to what is to be delivered: after the commit. So it does when
    /// another node tells that it has; that may be missed, and is then found by looking.
    #[must_use]
    pub fn outbox_changes(&self) -> watch::Receiver<()> {
        self.inner.writer.told()
    }
}
