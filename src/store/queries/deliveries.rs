use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::store::entities::{outbox, outbox_head, webhook_delivery};
use crate::store::page::number;
use crate::store::rows::webhook_id;
use crate::store::{
    Delivery, DeliveryStatus, DueDelivery, Id, Named, Page, PageRequest, Store, StoreError,
};

/// Filter of a list; `None` matches all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct DeliveryFilter {
    pub channel_id: Option<i64>,
    pub status: Option<DeliveryStatus>,
}

impl Store {
    /// Due deliveries, oldest first: of each channel only its first pending one, for which the others wait, and none of
    /// `busy` channels.
    pub async fn due_deliveries(
        &self,
        now: DateTime<Utc>,
        busy: Vec<i64>,
        limit: u64,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        use webhook_delivery::Column as C;
        let pending = Named::from(DeliveryStatus::Pending);
        let firsts = Query::select()
            .expr(Expr::col(C::OutboxId).min())
            .from(webhook_delivery::Entity)
            .and_where(Expr::col(C::Status).eq(pending.clone()))
            .group_by_col(C::ChannelId)
            .to_owned();
        let rows = webhook_delivery::Entity::find()
            .filter(C::OutboxId.in_subquery(firsts))
            .filter(C::Status.eq(pending))
            .filter(C::NextAttemptAt.lte(now))
            .filter(C::ChannelId.is_not_in(busy))
            .order_by_asc(C::OutboxId)
            .limit(limit)
            .all(&self.read())
            .await?;
        let mut messages = self.messages(&rows).await?;
        let due = |row: webhook_delivery::Model| {
            // `None`: purged meanwhile.
            let message = messages.remove(&row.outbox_id)?;
            Some(DueDelivery {
                id: row.outbox_id,
                webhook_id: webhook_id(&message.body),
                channel_id: row.channel_id,
                body: message.body,
                attempts: row.attempts,
                give_up_at: row.give_up_at,
            })
        };
        Ok(rows.into_iter().filter_map(due).collect())
    }

    /// Deliveries, newest message first.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, StoreError> {
        use webhook_delivery::Column as C;
        let mut select = webhook_delivery::Entity::find()
            .order_by_desc(C::OutboxId)
            .limit(page.limit() + 1);
        if let Some(channel_id) = filter.channel_id {
            select = select.filter(C::ChannelId.eq(channel_id));
        }
        if let Some(status) = filter.status {
            select = select.filter(C::Status.eq(Named::from(status)));
        }
        if page.cursor.is_some() {
            select = select.filter(C::OutboxId.lt(page.after_number()?));
        }
        let rows = select.all(&self.read()).await?;
        let deliveries = self.with_messages(rows).await?;
        Ok(Page::of(deliveries, page.limit(), |one| number(one.id)))
    }

    /// The deliveries of a relay's newest messages, in order.
    pub async fn deliveries_of(
        &self,
        relay_id: Uuid,
        limit: u64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let ids: Vec<i64> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .filter(outbox::Column::RelayId.eq(Id(relay_id)))
            .order_by_desc(outbox::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.read())
            .await?;
        let rows = webhook_delivery::Entity::find()
            .filter(webhook_delivery::Column::OutboxId.is_in(ids))
            .order_by_asc(webhook_delivery::Column::OutboxId)
            .all(&self.read())
            .await?;
        self.with_messages(rows).await
    }

    /// The delivery of a message, if there is one.
    pub async fn delivery(&self, id: i64) -> Result<Option<Delivery>, StoreError> {
        let row = webhook_delivery::Entity::find_by_id(id)
            .one(&self.read())
            .await?;
        let mut deliveries = self.with_messages(row.into_iter().collect()).await?;
        Ok(deliveries.pop())
    }

    /// When the endpoint was disabled, if it is, and the number of pending deliveries.
    pub async fn endpoint_disabled(&self) -> Result<Option<(DateTime<Utc>, u64)>, StoreError> {
        let head = outbox_head::Entity::find_by_id(1).one(&self.read()).await?;
        let Some(since) = head.and_then(|head| head.disabled_since) else {
            return Ok(None);
        };
        let waiting = webhook_delivery::Entity::find()
            .filter(webhook_delivery::Column::Status.eq(Named::from(DeliveryStatus::Pending)))
            .count(&self.read())
            .await?;
        Ok(Some((since, waiting)))
    }

    async fn messages(
        &self,
        rows: &[webhook_delivery::Model],
    ) -> Result<BTreeMap<i64, outbox::Model>, StoreError> {
        let ids = rows.iter().map(|row| row.outbox_id);
        let messages = outbox::Entity::find()
            .filter(outbox::Column::Id.is_in(ids))
            .all(&self.read())
            .await?;
        Ok(messages.into_iter().map(|one| (one.id, one)).collect())
    }

    async fn with_messages(
        &self,
        rows: Vec<webhook_delivery::Model>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut messages = self.messages(&rows).await?;
        let corrupt = || StoreError::Corrupt("webhook_deliveries".to_owned());
        let mut deliveries = Vec::new();
        for row in rows {
            let Some(message) = messages.remove(&row.outbox_id) else {
                continue;
            };
            let status = row.status.known().ok_or_else(corrupt)?;
            deliveries.push(Delivery {
                id: row.outbox_id,
                webhook_id: webhook_id(&message.body),
                kind: message.kind,
                relay_id: *message.relay_id,
                channel_id: row.channel_id,
                sequence: message.sequence,
                status,
                attempts: row.attempts,
                created_at: message.created_at,
                next_attempt_at: (status == DeliveryStatus::Pending).then_some(row.next_attempt_at),
                last_attempt_at: row.last_attempt_at,
                delivered_at: row.delivered_at,
                response_status: row
                    .response_status
                    .and_then(|code| u16::try_from(code).ok()),
                last_error: row.last_error,
            });
        }
        Ok(deliveries)
    }
}
