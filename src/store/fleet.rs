//! Several processes on one PostgreSQL: the nodes, their leases, and the relays that each owns.
//!
//! A **node** is a row of `nodes`, identified by its epoch (the fencing token). A relay whose epoch matches no node is
//! unowned; the first node to claim it wins. The row is deleted when the node leaves, or by another node when its lease
//! has expired, by the database's clock. That deletion and a renewal lock the row: a renewed node is not removed, and a
//! removed node learns of it at its next renewal.
//!
//! On SQLite the process that holds the file's lock is the only node, and its lease does not expire.

mod listen;
mod peer_messages;
mod polls;
mod shares;
mod sql;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, Statement, Value,
};
use tokio::sync::broadcast;
use uuid::Uuid;

pub(super) use listen::notify_outbox;
pub use listen::{FleetListener, FleetSignal};
pub use polls::{PollTurn, SharedPoll};
pub use shares::{Share, ShareChange, Shares};

use super::connect::Target;
use super::entities::{node, relay};
use super::operations::instance::DrawEpoch;
use super::sql::OwnSql;
use super::writer::{Operation, OperationError, Tx};
use super::{Id, Store, StoreError, StoredRelay};

/// A live node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its fencing token.
    pub epoch: i64,
    /// Host name and process id.
    pub name: String,
    /// When it joined.
    pub joined_at: DateTime<Utc>,
    /// Whether it is shutting down and takes no more relays.
    pub leaving: bool,
    /// Unfinished relays that it owns.
    pub relays: u64,
}

/// The live nodes and what none of them owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// In the order in which they joined.
    pub nodes: Vec<Node>,
    /// Unowned unfinished relays.
    pub free: u64,
    /// The leader's epoch.
    pub leader: i64,
}

struct Join {
    name: String,
    lease: Duration,
}

impl Operation for Join {
    type Output = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, OperationError> {
        let epoch = DrawEpoch.run(tx).await?;
        let joined = node::Model {
            epoch,
            name: self.name.clone(),
            joined_at: Utc::now(),
            lease_until: Utc::now(),
            leaving: false,
        };
        node::Entity::insert(joined.into_active_model())
            .exec_without_returning(&tx.sql)
            .await?;
        tx.sql.execute_raw(renewal(epoch, self.lease)).await?;
        Ok(epoch)
    }
}

fn renewal(epoch: i64, lease: Duration) -> Statement {
    statement(
        "UPDATE nodes SET lease_until = clock_timestamp() + $2 * interval '1 second' WHERE epoch = $1",
        [epoch.into(), lease.as_secs_f64().into()],
    )
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Tells when an owner acted on a requested stop.
#[derive(Debug)]
pub struct StopSignals(broadcast::Receiver<Option<Uuid>>);

impl StopSignals {
    /// Waits until the relay's stop may be stored.
    pub async fn next(&mut self, relay_id: Uuid) {
        // An error means that signals were dropped.
        while matches!(self.0.recv().await, Ok(Some(other)) if other != relay_id) {}
    }
}

#[derive(FromQueryResult)]
struct NodeRow {
    epoch: i64,
    name: String,
    joined_at: DateTime<Utc>,
    leaving: bool,
    relays: i64,
}

#[derive(FromQueryResult)]
struct UnownedRow {
    leader: i64,
    free: i64,
}

#[derive(FromQueryResult)]
struct ExpiredNodeRow {
    epoch: i64,
    name: String,
}

impl Store {
    /// Whether several processes may use this database: PostgreSQL.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.target, Target::Postgres(_))
    }

    /// Joins the fleet under a new epoch. The lease counts from now.
    pub async fn join(&self, name: &str, lease: Duration) -> Result<i64, StoreError> {
        let name = name.to_owned();
        self.inner.writer.run(Join { name, lease }).await
    }

    /// Renews a node's lease. Returns false if the node was removed.
    pub async fn renew(&self, epoch: i64, lease: Duration) -> Result<bool, StoreError> {
        let sql = OwnSql(self.pools().renewals);
        let renewed = sql.execute_raw(renewal(epoch, lease)).await?;
        Ok(renewed.rows_affected() > 0)
    }

    /// Removes expired nodes and reads the fleet.
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let sql = self.fleet_sql();
        let dead = ExpiredNodeRow::find_by_statement(statement(sql::DELETE_EXPIRED_NODES, []))
            .all(&sql)
            .await?;
        for ExpiredNodeRow { epoch, name } in &dead {
            tracing::warn!(
                epoch,
                name,
                "a node's lease expired; its relays are unowned"
            );
        }
        if !dead.is_empty() {
            sql.execute_raw(statement(sql::DELETE_UNDELIVERABLE_MESSAGES, []))
                .await?;
        }
        let nodes = NodeRow::find_by_statement(statement(sql::NODES, []))
            .all(&sql)
            .await?;
        let free = UnownedRow::find_by_statement(statement(sql::COUNT_UNOWNED, []))
            .one(&sql)
            .await?
            .ok_or_else(|| StoreError::Corrupt("the instance row is gone".to_owned()))?;
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(Fleet {
            nodes: nodes
                .into_iter()
                .map(|node| Node {
                    epoch: node.epoch,
                    name: node.name,
                    joined_at: node.joined_at,
                    leaving: node.leaving,
                    relays: count(node.relays),
                })
                .collect(),
            free: count(free.free),
            leader: free.leader,
        })
    }

    /// The names of the live nodes. Empty on SQLite, where the [`DatabaseLock`](super::DatabaseLock) tells.
    pub async fn acting(&self) -> Result<Vec<String>, StoreError> {
        let nodes_exist =
            || statement("SELECT 1 AS one WHERE to_regclass('nodes') IS NOT NULL", []);
        let sql = self.fleet_sql();
        if !self.is_shared() || sql.query_one_raw(nodes_exist()).await?.is_none() {
            return Ok(Vec::new());
        }
        let nodes = NodeRow::find_by_statement(statement(sql::NODES, []))
            .all(&sql)
            .await?;
        Ok(nodes.into_iter().map(|node| node.name).collect())
    }

    /// Claims up to `limit` unowned relays. After an error, [`Store::driven_by`] tells which were claimed.
    pub async fn claim(&self, epoch: i64, limit: u64) -> Result<Vec<StoredRelay>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let claim = statement(sql::CLAIM, [epoch.into(), limit.into()]);
        let claimed = StoredRelay::find_by_statement(claim);
        Ok(claimed.all(&self.fleet_sql()).await?)
    }

    /// The unfinished relays that a node owns.
    pub async fn driven_by(&self, epoch: i64) -> Result<Vec<Uuid>, StoreError> {
        use sea_orm::QuerySelect;
        let ids = relay::Entity::find()
            .select_only()
            .column(relay::Column::Id)
            .filter(relay::Column::Epoch.eq(epoch))
            .filter(relay::Column::EndedAt.is_null())
            .into_tuple::<Id>()
            .all(&self.read())
            .await?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    /// Makes relays of this node unowned. Their vendor calls must have ended.
    pub async fn release(&self, epoch: i64, relays: &[Uuid]) -> Result<(), StoreError> {
        relay::Entity::update_many()
            .col_expr(relay::Column::Epoch, Expr::val(0i64))
            .filter(relay::Column::Epoch.eq(epoch))
            .filter(relay::Column::EndedAt.is_null())
            .filter(relay::Column::Id.is_in(relays.iter().copied().map(Id)))
            .exec(&self.fleet_sql())
            .await?;
        self.notify(None, FleetSignal::Free).await
    }

    /// Records that a node is shutting down and takes no more relays.
    pub async fn announce_leaving(&self, epoch: i64) -> Result<(), StoreError> {
        node::Entity::update_many()
            .col_expr(node::Column::Leaving, Expr::val(true))
            .filter(node::Column::Epoch.eq(epoch))
            .exec(&self.fleet_sql())
            .await?;
        Ok(())
    }

    /// Removes a node; its relays become unowned. Their vendor calls must have ended.
    pub async fn leave(&self, epoch: i64) -> Result<(), StoreError> {
        let sql = self.fleet_sql();
        node::Entity::delete_by_id(epoch).exec(&sql).await?;
        sql.execute_raw(statement(sql::DELETE_UNDELIVERABLE_MESSAGES, []))
            .await?;
        self.notify(None, FleetSignal::Free).await
    }

    /// Makes this node the leader if the last, `seen`, is no longer live. Returns whether it did.
    pub async fn succeed_leader(&self, epoch: i64, seen: i64) -> Result<bool, StoreError> {
        let became = self
            .fleet_sql()
            .execute_raw(statement(sql::REPLACE_LEADER, [epoch.into(), seen.into()]))
            .await?;
        Ok(became.rows_affected() > 0)
    }

    /// Requests a stop from the relay's present or next owner. Returns false if the relay does not hold its channel's
    /// slot.
    pub async fn request_stop(
        &self,
        relay_id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        use relay::Column as C;
        let asked = relay::Entity::update_many()
            .col_expr(
                C::StopRequestedAt,
                Expr::col(C::StopRequestedAt).if_null(at),
            )
            .filter(C::Id.eq(Id(relay_id)))
            .filter(relay::holds_slot())
            .exec_with_returning(&self.fleet_sql())
            .await?;
        let Some(relay) = asked.first() else {
            return Ok(false);
        };
        self.notify(Some(relay.epoch), FleetSignal::Stop).await?;
        Ok(true)
    }

    /// The signals from now on, as far as [`Store::listen`] receives them.
    #[must_use]
    pub fn stop_signals(&self) -> StopSignals {
        StopSignals(self.inner.stops.subscribe())
    }

    /// Replaces signals that may have been lost.
    pub fn recheck_stops(&self) {
        // Fails if nothing waits.
        let _ = self.inner.stops.send(None);
    }

    /// A node's relays that have a stop requested and still hold their slots.
    pub async fn stops_requested(&self, epoch: i64) -> Result<Vec<Uuid>, StoreError> {
        use relay::Column as C;
        use sea_orm::QuerySelect;
        let ids = relay::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(C::Epoch.eq(epoch))
            .filter(C::EndedAt.is_null())
            .filter(C::StopRequestedAt.is_not_null())
            .filter(relay::holds_slot())
            .into_tuple::<Id>()
            .all(&self.fleet_sql())
            .await?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    fn fleet_sql(&self) -> OwnSql {
        OwnSql(self.pools().fleet)
    }
}
