//! What became of relays, for those who look back.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::store::entities::relay;
use crate::store::{Life, Store, StoreError};

impl Store {
    /// Relays asked for from `from` up to, but not at, `to`, newest first, `most` of them at most.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn lives(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        most: u64,
    ) -> Result<Vec<Life>, StoreError> {
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
            .into_tuple::<(DateTime<Utc>, Option<DateTime<Utc>>, Option<String>)>()
            .all(&self.read())
            .await?;
        let life = |(requested_at, live_at, outcome)| Life {
            requested_at,
            live_at,
            outcome,
        };
        Ok(rows.into_iter().map(life).collect())
    }
}
