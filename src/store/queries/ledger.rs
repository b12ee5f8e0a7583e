//! The cost ledger.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};

use crate::store::entities::cost;
use crate::store::{CostGroup, CostSum, GroupBy, Store, StoreError};

#[derive(FromQueryResult)]
struct Sum {
    group: String,
    relays: i64,
    duration_seconds: i64,
    cost_cents: i64,
    cost_micros: i64,
    agora_cost_micros: i64,
}

impl Store {
    /// The cost of relays that ended from `from` until before `to`, ordered by group.
    pub async fn costs(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        group_by: GroupBy,
    ) -> Result<Vec<CostSum>, StoreError> {
        use cost::Column as C;
        let key = match group_by {
            GroupBy::Channel => Expr::col(C::ChannelId),
            GroupBy::Day if self.backend() == DbBackend::Sqlite => {
                // SQLite's times are UTC text that begins with the date.
                Expr::cust("substr(created_at, 1, 10)")
            }
            GroupBy::Day => Expr::cust("to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"),
        };
        cost::Entity::find()
            .select_only()
            .expr_as(key.clone().cast_as("text"), "group")
            .expr_as(integer(Expr::col(C::RelayId).count()), "relays")
            .expr_as(total(C::DurationSeconds), "duration_seconds")
            .expr_as(total(C::CostCents), "cost_cents")
            .expr_as(total(C::CostMicros), "cost_micros")
            .expr_as(total(C::AgoraCostMicros), "agora_cost_micros")
            .filter(C::CreatedAt.gte(from))
            .filter(C::CreatedAt.lt(to))
            .group_by(key.clone())
            .order_by_asc(key)
            .into_model::<Sum>()
            .all(&self.read())
            .await?
            .into_iter()
            .map(|sum| sum.into_cost(group_by))
            .collect()
    }
}

/// PostgreSQL's sum of 64-bit integers is `numeric`.
fn total(column: cost::Column) -> SimpleExpr {
    integer(Expr::col(column).sum())
}

fn integer(expression: SimpleExpr) -> SimpleExpr {
    expression.cast_as("bigint")
}

impl Sum {
    fn into_cost(self, group_by: GroupBy) -> Result<CostSum, StoreError> {
        let group = match group_by {
            GroupBy::Channel => self.group.parse().ok().map(CostGroup::Channel),
            GroupBy::Day => self.group.parse::<NaiveDate>().ok().map(CostGroup::Day),
        };
        Ok(CostSum {
            group: group.ok_or_else(|| StoreError::Corrupt("stream_costs".to_owned()))?,
            relays: self.relays,
            duration_seconds: self.duration_seconds,
            cost_cents: self.cost_cents,
            cost_micros: self.cost_micros,
            agora_cost_micros: self.agora_cost_micros,
        })
    }
}
