//! Several processes on one PostgreSQL: who acts, and what each drives.
//!
//! A process that acts is a **node**: a row of `nodes`, as long as its lease is renewed, by the database's own clock. Its epoch
//! is its name. What bears an epoch of which there is no node belongs to nobody, and whoever claims it first has it. A row
//! goes in one of two ways: its node leaves, or another one finds its lease over. That deletion and a renewal take the same
//! row's lock, so one of them comes second and sees what the first did: a node that was renewed is not declared dead, and
//! one that was declared dead learns it from its next renewal.
//!
//! On SQLite there is one process, which holds the file's lock; it is the only node, and its lease does not end.

mod listen;
mod peer_messages;
mod polls;
mod shares;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, Statement, Value,
};
use uuid::Uuid;

pub(super) use listen::notify_outbox;
pub use listen::{Heard, Listener};
pub use polls::{Poll, Polled};
pub use shares::{Share, ShareChange, Shares};

use super::connect::Target;
use super::entities::{id::Id, node, relay};
use super::operations::instance::DrawEpoch;
use super::sql::OwnSql;
use super::writer::{Failure, Operation, Tx};
use super::{SLOT_PHASES, Store, StoreError, StoredRelay};

/// A process that acts on the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its epoch.
    pub epoch: i64,
    /// Its machine's name, and its number there.
    pub name: String,
    /// Since when.
    pub joined_at: DateTime<Utc>,
    /// Whether it is going down: it is to be given nothing more.
    pub leaving: bool,
    /// How many unfinished relays it drives.
    pub relays: u64,
}

/// The fleet as one poll found it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// Its nodes, in the order in which they joined.
    pub nodes: Vec<Node>,
    /// Unfinished relays that nobody drives.
    pub free: u64,
    /// Whose it is to do what is done once for all.
    pub leader: i64,
}

/// Joins the fleet under a new epoch.
struct Join {
    name: String,
    lease: Duration,
}

impl Operation for Join {
    type Answer = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, Failure> {
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

/// A lease of so long from now, by the database's clock.
fn renewal(epoch: i64, lease: Duration) -> Statement {
    statement(
        "UPDATE nodes SET lease_until = clock_timestamp() + $2 * interval '1 second' WHERE epoch = $1",
        [epoch.into(), lease.as_secs_f64().into()],
    )
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Whose lease is over is no node any more. Not waited for: a row that is held belongs to somebody who does something.
const BURY: &str = "DELETE FROM nodes WHERE epoch IN \
    (SELECT epoch FROM nodes WHERE lease_until < clock_timestamp() FOR UPDATE SKIP LOCKED) RETURNING epoch, name";
/// What was meant for them is nobody's.
const UNDELIVERABLE: &str =
    "DELETE FROM peer_messages WHERE NOT EXISTS (SELECT FROM nodes WHERE epoch = recipient)";
const NODES: &str = "SELECT epoch, name, joined_at, leaving, \
    (SELECT count(*) FROM relays WHERE relays.epoch = nodes.epoch AND ended_at IS NULL) AS relays \
    FROM nodes WHERE lease_until >= clock_timestamp() ORDER BY epoch";
const FREE: &str = "SELECT leader, (SELECT count(*) FROM relays WHERE ended_at IS NULL \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = relays.epoch)) AS free FROM instance WHERE id = 1";
/// What is free is found first. A row that another node claimed since then is looked at anew as it is locked, and only what
/// stands in the row itself counts in that: that it still bears the epoch it had. (`+ 0`: rows are looked up by their ids, as a
/// dead node's epoch finds thousands of them each time.)
const CLAIM: &str = "WITH free AS MATERIALIZED (SELECT id, epoch FROM relays WHERE ended_at IS NULL \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = relays.epoch)), \
    taken AS (SELECT relays.id FROM relays JOIN free ON relays.id = free.id AND relays.epoch + 0 = free.epoch \
    WHERE relays.ended_at IS NULL ORDER BY relays.id LIMIT $2 FOR UPDATE OF relays SKIP LOCKED) \
    UPDATE relays SET epoch = $1 WHERE id IN (SELECT id FROM taken) \
    AND EXISTS (SELECT FROM nodes WHERE epoch = $1) RETURNING *";
/// As with a claim: who comes second finds another leader than the one it saw.
const SUCCEED: &str = "UPDATE instance SET leader = $1 WHERE id = 1 AND leader = $2 \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = $2)";

#[derive(FromQueryResult)]
struct NodeRow {
    epoch: i64,
    name: String,
    joined_at: DateTime<Utc>,
    leaving: bool,
    relays: i64,
}

#[derive(FromQueryResult)]
struct FreeRow {
    leader: i64,
    free: i64,
}

#[derive(FromQueryResult)]
struct Dead {
    epoch: i64,
    name: String,
}

impl Store {
    /// Whether several processes may act on this database at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.target, Target::Postgres(_))
    }

    /// Joins the fleet, under an epoch that nobody had before. The lease counts from now.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn join(&self, name: &str, lease: Duration) -> Result<i64, StoreError> {
        let name = name.to_owned();
        self.inner.writer.run(Join { name, lease }).await
    }

    /// Renews a node's lease, which is that of all its relays; false: it is no node any more.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn renew(&self, epoch: i64, lease: Duration) -> Result<bool, StoreError> {
        let sql = OwnSql(self.pools().renewals);
        let renewed = sql.execute_raw(renewal(epoch, lease)).await?;
        Ok(renewed.rows_affected() > 0)
    }

    /// The fleet as it is now. Whose lease is over is none of it any more.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let sql = self.fleet_sql();
        let dead = Dead::find_by_statement(statement(BURY, []))
            .all(&sql)
            .await?;
        for Dead { epoch, name } in &dead {
            tracing::warn!(epoch, name, "a node's lease is over: its relays are free");
        }
        if !dead.is_empty() {
            sql.execute_raw(statement(UNDELIVERABLE, [])).await?;
        }
        let nodes = NodeRow::find_by_statement(statement(NODES, []))
            .all(&sql)
            .await?;
        let free = FreeRow::find_by_statement(statement(FREE, []))
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

    /// The names of the processes that act on a PostgreSQL database now; on SQLite the file's lock tells.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn acting(&self) -> Result<Vec<String>, StoreError> {
        let nodes_exist =
            || statement("SELECT 1 AS one WHERE to_regclass('nodes') IS NOT NULL", []);
        let sql = self.fleet_sql();
        if !self.is_shared() || sql.query_one_raw(nodes_exist()).await?.is_none() {
            return Ok(Vec::new());
        }
        let nodes = NodeRow::find_by_statement(statement(NODES, []))
            .all(&sql)
            .await?;
        Ok(nodes.into_iter().map(|node| node.name).collect())
    }

    /// Claims at most so many of the relays that nobody drives.
    ///
    /// # Errors
    /// As [`Store::relay`]; the outcome is then unknown, and [`Store::driven_by`] tells.
    pub async fn claim(&self, epoch: i64, limit: u64) -> Result<Vec<StoredRelay>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let claim = statement(CLAIM, [epoch.into(), limit.into()]);
        let claimed = relay::Model::find_by_statement(claim)
            .all(&self.fleet_sql())
            .await?;
        Ok(claimed.into_iter().map(Into::into).collect())
    }

    /// The unfinished relays a node drives.
    ///
    /// # Errors
    /// As [`Store::relay`].
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

    /// Gives relays of one's own up: they are free. Nothing may be under way for them.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn release(&self, epoch: i64, relays: &[Uuid]) -> Result<(), StoreError> {
        relay::Entity::update_many()
            .col_expr(relay::Column::Epoch, Expr::val(0i64))
            .filter(relay::Column::Epoch.eq(epoch))
            .filter(relay::Column::EndedAt.is_null())
            .filter(relay::Column::Id.is_in(relays.iter().copied().map(Id)))
            .exec(&self.fleet_sql())
            .await?;
        self.tell(None, Heard::Free).await
    }

    /// Says that a node is going down: it is to be given nothing more.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn announce_leaving(&self, epoch: i64) -> Result<(), StoreError> {
        node::Entity::update_many()
            .col_expr(node::Column::Leaving, Expr::val(true))
            .filter(node::Column::Epoch.eq(epoch))
            .exec(&self.fleet_sql())
            .await?;
        Ok(())
    }

    /// Leaves the fleet: what the node had is free. Nothing may be under way for it.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn leave(&self, epoch: i64) -> Result<(), StoreError> {
        let sql = self.fleet_sql();
        node::Entity::delete_by_id(epoch).exec(&sql).await?;
        sql.execute_raw(statement(UNDELIVERABLE, [])).await?;
        self.tell(None, Heard::Free).await
    }

    /// Becomes the one who does what is done once for all after the one that was seen, who is no node any more; whether it did.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn succeed_leader(&self, epoch: i64, seen: i64) -> Result<bool, StoreError> {
        let became = self
            .fleet_sql()
            .execute_raw(statement(SUCCEED, [epoch.into(), seen.into()]))
            .await?;
        Ok(became.rows_affected() > 0)
    }

    /// Asks whoever drives a relay, now or later, to stop it; false: it holds its channel's slot no more.
    ///
    /// # Errors
    /// As [`Store::relay`].
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
            .filter(C::Phase.is_in(SLOT_PHASES))
            .exec_with_returning(&self.fleet_sql())
            .await?;
        let Some(relay) = asked.first() else {
            return Ok(false);
        };
        self.tell(Some(relay.epoch), Heard::Stop).await?;
        Ok(true)
    }

    /// The relays a node drives that somebody asked to stop.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn stops_requested(&self, epoch: i64) -> Result<Vec<Uuid>, StoreError> {
        use relay::Column as C;
        use sea_orm::QuerySelect;
        let ids = relay::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(C::Epoch.eq(epoch))
            .filter(C::EndedAt.is_null())
            .filter(C::StopRequestedAt.is_not_null())
            .filter(C::Phase.is_in(SLOT_PHASES))
            .into_tuple::<Id>()
            .all(&self.fleet_sql())
            .await?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    /// Whether somebody asked to stop a relay.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn stop_is_requested(&self, relay_id: Uuid) -> Result<bool, StoreError> {
        let row = relay::Entity::find_by_id(Id(relay_id))
            .one(&self.read())
            .await?;
        Ok(row.is_some_and(|row| row.stop_requested_at.is_some()))
    }

    /// Where the fleet's own statements go: they wait for no batch of the writer's.
    fn fleet_sql(&self) -> OwnSql {
        OwnSql(self.pools().fleet)
    }
}
