use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use uuid::Uuid;

use crate::relay::{Phase, Subject};
use crate::store::entities::{idempotency_key, relay, relay_event};
use crate::store::page::{TimeCursor, number};
use crate::store::{
    Id, IdempotencyRecord, Named, Page, PageRequest, PastRelay, Store, StoreError, StoredEntry,
    StoredRelay,
};

/// Unfinished relays per read.
const READ_AT_ONCE: u64 = 1000;

/// Filter of a list; `None` matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct RelayFilter {
    pub channel_id: Option<i64>,
    pub phase: Option<Phase>,
}

impl Store {
    /// A relay by its id.
    pub async fn relay(&self, id: Uuid) -> Result<Option<StoredRelay>, StoreError> {
        let found = relay::Entity::find_by_id(Id(id)).one(&self.read()).await?;
        Ok(found)
    }

    /// The relay that holds a channel's slot.
    pub async fn slot_holder(&self, channel_id: i64) -> Result<Option<StoredRelay>, StoreError> {
        let found = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(channel_id))
            .filter(relay::holds_slot())
            .one(&self.read())
            .await?;
        Ok(found)
    }

    /// A channel's unfinished relays.
    pub async fn unfinished_of_channel(
        &self,
        channel_id: i64,
    ) -> Result<Vec<StoredRelay>, StoreError> {
        let found = relay::Entity::find()
            .filter(relay::Column::ChannelId.eq(channel_id))
            .filter(relay::Column::EndedAt.is_null())
            .all(&self.read())
            .await?;
        Ok(found)
    }

    /// The phases of the unfinished relays with this ingest.
    pub async fn phases_with_ingest(
        &self,
        platform: &str,
        id: &str,
    ) -> Result<Vec<Named<Phase>>, StoreError> {
        Ok(relay::Entity::find()
            .select_only()
            .column(relay::Column::Phase)
            .filter(relay::Column::IngestId.eq(id))
            .filter(relay::Column::Platform.eq(platform))
            .filter(relay::Column::EndedAt.is_null())
            .into_tuple()
            .all(&self.read())
            .await?)
    }

    /// The epochs that own the unfinished relays with this subject.
    pub async fn owners(&self, subject: &Subject) -> Result<Vec<i64>, StoreError> {
        use relay::Column as C;
        let owners = relay::Entity::find()
            .select_only()
            .column(C::Epoch)
            .distinct()
            .filter(C::EndedAt.is_null());
        let owners = match subject {
            Subject::Tag(tag) => owners.filter(C::Id.eq(Id(tag.relay))),
            Subject::Ingest { platform, id } => owners
                .filter(C::IngestId.eq(id))
                .filter(C::Platform.eq(platform.as_str())),
            // Stored as the vendor wrote it.
            Subject::Egress(id) => {
                owners.filter(C::EgressId.is_in([id.clone(), id.to_ascii_uppercase()]))
            }
            Subject::Seller { channel_name, uid } => owners
                .filter(C::ChannelName.eq(channel_name))
                .filter(C::SellerUid.eq(i64::from(*uid)))
                .filter(relay::holds_slot()),
        };
        Ok(owners.into_tuple().all(&self.read()).await?)
    }

    /// The number of relays that have, or may have, an egress: until `finalizing`.
    pub async fn egresses(&self) -> Result<u64, StoreError> {
        Ok(relay::Entity::find()
            .filter(relay::Column::EndedAt.is_null())
            .filter(relay::Column::Phase.ne(Named::from(Phase::Finalizing)))
            .count(&self.read())
            .await?)
    }

    /// A channel's last requested relay.
    pub async fn newest_relay(&self, channel_id: i64) -> Result<Option<StoredRelay>, StoreError> {
        let found = newest_first(relay::Entity::find())
            .filter(relay::Column::ChannelId.eq(channel_id))
            .one(&self.read())
            .await?;
        Ok(found)
    }

    /// Relays, newest first.
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
        if let Some(phase) = filter.phase {
            select = select.filter(C::Phase.eq(Named::from(phase)));
        }
        if let Some(after) = page.after_time()? {
            let older = Condition::any().add(C::RequestedAt.lt(after.time)).add(
                Condition::all()
                    .add(C::RequestedAt.eq(after.time))
                    .add(C::Id.lt(Id(after.id))),
            );
            select = select.filter(older);
        }
        let rows = select.all(&self.read()).await?;
        Ok(Page::of(rows, page.limit(), |relay: &StoredRelay| {
            let (time, id) = (relay.requested_at, *relay.id);
            TimeCursor { time, id }.write()
        }))
    }

    /// All unfinished relays, by id. An unreadable state does not keep other relays from recovery.
    pub async fn unfinished(&self) -> Result<Vec<StoredRelay>, StoreError> {
        let mut relays = Vec::new();
        self.each_unfinished(|relay| relays.push(relay)).await?;
        Ok(relays)
    }

    /// Calls `tell` with each unfinished relay, for callers that do not keep its large state. After an error, some calls
    /// were made.
    pub async fn each_unfinished(&self, tell: impl FnMut(StoredRelay)) -> Result<(), StoreError> {
        self.for_each_unfinished(None, tell).await
    }

    /// The unfinished relays that another epoch owns, or none.
    pub async fn unfinished_but_of(&self, epoch: i64) -> Result<Vec<StoredRelay>, StoreError> {
        let mut relays = Vec::new();
        self.for_each_unfinished(Some(epoch), |relay| relays.push(relay))
            .await?;
        Ok(relays)
    }

    async fn for_each_unfinished(
        &self,
        without: Option<i64>,
        mut tell: impl FnMut(StoredRelay),
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let mut select = relay::Entity::find()
                .filter(relay::Column::EndedAt.is_null())
                .order_by_asc(relay::Column::Id)
                .limit(READ_AT_ONCE);
            if let Some(epoch) = without {
                select = select.filter(relay::Column::Epoch.ne(epoch));
            }
            if let Some(after) = after {
                select = select.filter(relay::Column::Id.gt(after));
            }
            let rows = select.all(&self.read()).await?;
            let last = u64::try_from(rows.len()).unwrap_or(u64::MAX) < READ_AT_ONCE;
            for stored in rows {
                after = Some(stored.id);
                tell(stored);
            }
            if last {
                return Ok(());
            }
        }
    }

    /// A relay's journal, oldest first.
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

    /// Relays requested from `from` until before `to`, newest first.
    pub async fn past_relays(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        most: u64,
    ) -> Result<Vec<PastRelay>, StoreError> {
        use relay::Column as C;
        let rows = relay::Entity::find()
            .select_only()
            .column(C::RequestedAt)
            .column(C::LiveAt)
            .column(C::Outcome)
            .filter(C::RequestedAt.gte(from))
            .filter(C::RequestedAt.lt(to))
            .order_by_desc(C::RequestedAt)
            .limit(most)
            .into_tuple()
            .all(&self.read())
            .await?;
        let past = |(requested_at, live_at, outcome)| PastRelay {
            requested_at,
            live_at,
            outcome,
        };
        Ok(rows.into_iter().map(past).collect())
    }

    /// The first use of an idempotency key, while it is kept.
    pub async fn idempotency(&self, key: &str) -> Result<Option<IdempotencyRecord>, StoreError> {
        let found = idempotency_key::Entity::find_by_id(key.to_owned())
            .one(&self.read())
            .await?;
        Ok(found)
    }
}

fn newest_first(select: Select<relay::Entity>) -> Select<relay::Entity> {
    select
        .order_by_desc(relay::Column::RequestedAt)
        .order_by_desc(relay::Column::Id)
}
