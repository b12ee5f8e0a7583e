use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::store::entities::kept_ingest::{Column as C, Entity};
use crate::store::entities::relay;
use crate::store::page::ChannelCursor;
use crate::store::{KeptIngestRow, Page, PageRequest, Store, StoreError, StoredRelay};

impl Store {
    /// The ingest that a channel keeps at a platform.
    pub async fn kept_ingest(
        &self,
        channel_id: i64,
        platform: &str,
    ) -> Result<Option<KeptIngestRow>, StoreError> {
        let found = Entity::find_by_id((channel_id, platform.to_owned()));
        Ok(found.one(&self.read()).await?)
    }

    /// The ingests that a channel keeps, by platform.
    pub async fn kept_ingests_of(&self, channel_id: i64) -> Result<Vec<KeptIngestRow>, StoreError> {
        let found = Entity::find()
            .filter(C::ChannelId.eq(channel_id))
            .order_by_asc(C::Platform);
        Ok(found.all(&self.read()).await?)
    }

    /// The kept ingest with the platform's id.
    pub async fn kept_ingest_with_id(
        &self,
        platform: &str,
        ingest_id: &str,
    ) -> Result<Option<KeptIngestRow>, StoreError> {
        let found = Entity::find()
            .filter(C::IngestId.eq(ingest_id))
            .filter(C::Platform.eq(platform));
        Ok(found.one(&self.read()).await?)
    }

    /// Kept ingests, by channel and platform.
    pub async fn kept_ingests(
        &self,
        page: &PageRequest,
    ) -> Result<Page<KeptIngestRow>, StoreError> {
        let mut select = Entity::find()
            .order_by_asc(C::ChannelId)
            .order_by_asc(C::Platform)
            .limit(page.limit() + 1);
        if let Some(after) = page.after_channel()? {
            let later = Condition::any().add(C::ChannelId.gt(after.channel_id)).add(
                Condition::all()
                    .add(C::ChannelId.eq(after.channel_id))
                    .add(C::Platform.gt(after.name)),
            );
            select = select.filter(later);
        }
        let rows = select.all(&self.read()).await?;
        Ok(Page::of(rows, page.limit(), |row: &KeptIngestRow| {
            let (channel_id, name) = (row.channel_id, row.platform.clone());
            ChannelCursor { channel_id, name }.write()
        }))
    }

    /// The number of kept ingests.
    pub async fn kept_ingest_count(&self) -> Result<u64, StoreError> {
        Ok(Entity::find().count(&self.read()).await?)
    }

    /// The relays that used this ingest of a channel, newest first.
    pub async fn relays_with_ingest(
        &self,
        channel_id: i64,
        ingest_id: &str,
        most: u64,
    ) -> Result<Vec<StoredRelay>, StoreError> {
        let found = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(channel_id))
            .filter(relay::Column::IngestId.eq(ingest_id))
            .order_by_desc(relay::Column::RequestedAt)
            .order_by_desc(relay::Column::Id)
            .limit(most);
        Ok(found.all(&self.read()).await?)
    }
}
