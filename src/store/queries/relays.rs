//! Relays and their journals.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use uuid::Uuid;

use crate::store::entities::{id::Id, idempotency_key, relay, relay_event};
use crate::store::page::{Moment, number};
use crate::store::{
    IdempotencyRecord, Page, PageRequest, SLOT_PHASES, Store, StoreError, StoredEntry, StoredRelay,
};

/// The phase in which a relay has no egress any more, and looks for its recordings.
const FINALIZING: &str = "finalizing";
/// How many unfinished relays are read at once.
const PIECE: u64 = 1000;

/// Which relays a list is of; `None` is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelayFilter {
    /// Those of one channel.
    pub channel_id: Option<i64>,
    /// Those in one phase.
    pub phase: Option<String>,
}

impl Store {
    /// One relay.
    ///
    /// # Errors
    /// As every read here: [`StoreError::Unavailable`], and [`StoreError::Corrupt`] for a row that cannot be read.
    pub async fn relay(&self, id: Uuid) -> Result<Option<StoredRelay>, StoreError> {
        let found = relay::Entity::find_by_id(Id(id)).one(&self.read()).await?;
        Ok(found.map(Into::into))
    }

    /// The relay that holds a channel's slot.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn slot_holder(&self, channel_id: i64) -> Result<Option<StoredRelay>, StoreError> {
        let found = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(channel_id))
            .filter(relay::Column::Phase.is_in(SLOT_PHASES))
            .one(&self.read())
            .await?;
        Ok(found.map(Into::into))
    }

    /// The channel's relays that are in work, whoever drives them.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn unfinished_of_channel(
        &self,
        channel_id: i64,
    ) -> Result<Vec<StoredRelay>, StoreError> {
        let found = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(channel_id))
            .filter(relay::Column::EndedAt.is_null())
            .all(&self.read())
            .await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// The phases of the unfinished relays that have this ingest, whichever node drives them.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn phases_with_ingest(&self, uid: &str) -> Result<Vec<String>, StoreError> {
        Ok(relay::Entity::find()
            .select_only()
            .column(relay::Column::Phase)
            .filter(relay::Column::IngestId.eq(uid))
            .filter(relay::Column::EndedAt.is_null())
            .into_tuple()
            .all(&self.read())
            .await?)
    }

    /// How many relays have, or may have, an egress: those in work that are not just looking for their recordings.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn egresses(&self) -> Result<u64, StoreError> {
        Ok(relay::Entity::find()
            .filter(relay::Column::EndedAt.is_null())
            .filter(relay::Column::Phase.ne(FINALIZING))
            .count(&self.read())
            .await?)
    }

    /// The channel's newest relay.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn newest_relay(&self, channel_id: i64) -> Result<Option<StoredRelay>, StoreError> {
        let found = newest_first(relay::Entity::find())
            .filter(relay::Column::ChannelId.eq(channel_id))
            .one(&self.read())
            .await?;
        Ok(found.map(Into::into))
    }

    /// Relays, newest first.
    ///
    /// # Errors
    /// As [`Store::relay`]; [`StoreError::BadCursor`].
    pub async fn relays(
        &self,
        filter: &RelayFilter,
        page: &PageRequest,
    ) -> Result<Page<StoredRelay>, StoreError> {
        use relay::Column as C;
        let mut select = newest_first(relay::Entity::find()).limit(page.limit() + 1);
        if let Some(channel_id) = filter.channel_id {
            select = select.filter(C::ChannelId.eq(channel_id));
        }
        if let Some(phase) = &filter.phase {
            select = select.filter(C::Phase.eq(phase));
        }
        if let Some(after) = page.after_moment()? {
            let older = Condition::any().add(C::RequestedAt.lt(after.time)).add(
                Condition::all()
                    .add(C::RequestedAt.eq(after.time))
                    .add(C::Id.lt(Id(after.id))),
            );
            select = select.filter(older);
        }
        let rows = select.all(&self.read()).await?;
        let relays = rows.into_iter().map(Into::into).collect();
        Ok(Page::of(relays, page.limit(), |relay: &StoredRelay| {
            let (time, id) = (relay.row.requested_at, relay.row.id);
            Moment { time, id }.write()
        }))
    }

    /// All relays that have not ended, in the order of their ids. A state that is no JSON comes as `Null`, so that one
    /// unreadable relay keeps none of the others from being recovered.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn unfinished(&self) -> Result<Vec<StoredRelay>, StoreError> {
        let mut relays = Vec::new();
        self.each_unfinished(|relay| relays.push(relay)).await?;
        Ok(relays)
    }

    /// The same one after the other, for who makes something smaller of each: a stored state is large.
    ///
    /// # Errors
    /// As [`Store::relay`]; some relays may have been told then.
    pub async fn each_unfinished(&self, tell: impl FnMut(StoredRelay)) -> Result<(), StoreError> {
        self.tell_unfinished(None, tell).await
    }

    /// The same without those of one epoch.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn unfinished_but_of(&self, epoch: i64) -> Result<Vec<StoredRelay>, StoreError> {
        let mut relays = Vec::new();
        self.tell_unfinished(Some(epoch), |relay| relays.push(relay))
            .await?;
        Ok(relays)
    }

    async fn tell_unfinished(
        &self,
        without: Option<i64>,
        mut tell: impl FnMut(StoredRelay),
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let mut select = relay::Entity::find()
                .filter(relay::Column::EndedAt.is_null())
                .order_by_asc(relay::Column::Id)
                .limit(PIECE);
            if let Some(epoch) = without {
                select = select.filter(relay::Column::Epoch.ne(epoch));
            }
            if let Some(after) = after {
                select = select.filter(relay::Column::Id.gt(Id(after)));
            }
            let rows = select.all(&self.read()).await?;
            let last = u64::try_from(rows.len()).unwrap_or(u64::MAX) < PIECE;
            for stored in rows.into_iter().map(StoredRelay::from) {
                after = Some(stored.row.id);
                tell(stored);
            }
            if last {
                return Ok(());
            }
        }
    }

    /// A relay's journal, oldest first: the order in which it is read, and replayed.
    ///
    /// # Errors
    /// As [`Store::relay`]; [`StoreError::BadCursor`].
    pub async fn journal(
        &self,
        relay_id: Uuid,
        page: &PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        use relay_event::Column as C;
        let rows = relay_event::Entity::find()
            .filter(C::RelayId.eq(Id(relay_id)))
            .filter(C::Seq.gt(page.after_number()?))
            .order_by_asc(C::Seq)
            .limit(page.limit() + 1)
            .all(&self.read())
            .await?;
        let entries = rows
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<Vec<StoredEntry>, _>>()?;
        Ok(Page::of(entries, page.limit(), |entry| number(entry.seq)))
    }

    /// What a key was used for, as long as that is kept.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn idempotency(&self, key: &str) -> Result<Option<IdempotencyRecord>, StoreError> {
        let found = idempotency_key::Entity::find_by_id(key.to_owned())
            .one(&self.read())
            .await?;
        Ok(found.map(Into::into))
    }
}

fn newest_first(select: Select<relay::Entity>) -> Select<relay::Entity> {
    select
        .order_by_desc(relay::Column::RequestedAt)
        .order_by_desc(relay::Column::Id)
}
