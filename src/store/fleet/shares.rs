//! How a vendor's quota is divided among nodes. A node that is gone keeps its share until the calls it made have left the
//! quota's window: what it gave nobody may use before.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, TransactionTrait};

use super::statement;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// One node's share of one budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Whose quota it is of.
    pub budget: String,
    /// The node.
    pub epoch: i64,
    /// How many uses in any window.
    pub permits: u32,
    /// Whether there is no such node any more.
    pub orphaned: bool,
    /// In how long it is nobody's, once that is settled.
    pub expires_in: Option<Duration>,
}

/// All shares of all budgets, and how much longer nobody may use one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares {
    /// The shares.
    pub all: Vec<Share>,
    /// By budget: how much longer nobody may use it.
    pub pauses: HashMap<String, Duration>,
}

/// What is to become of shares.
#[derive(Debug, Clone, PartialEq)]
pub enum ShareChange {
    /// This node holds so much from now on.
    Hold {
        /// Of which budget.
        budget: String,
        /// How much.
        permits: u32,
    },
    /// A node is gone: its share is nobody's in so long.
    Expire {
        /// Of which budget.
        budget: String,
        /// Whose.
        epoch: i64,
        /// In how long.
        after: Duration,
    },
    /// A share is nobody's now.
    Forget {
        /// Of which budget.
        budget: String,
        /// Whose it was.
        epoch: i64,
    },
    /// The vendor said to stop.
    Pause {
        /// Using which budget.
        budget: String,
        /// For how long.
        pause: Duration,
    },
}

const SHARES: &str = "SELECT s.name, s.epoch, s.permits, n.epoch IS NULL AS orphaned, \
    extract(epoch FROM s.expires_at - clock_timestamp())::float8 AS expires_in \
    FROM quota_shares s LEFT JOIN nodes n ON n.epoch = s.epoch ORDER BY s.name, s.epoch";
const PAUSES: &str = "SELECT name, extract(epoch FROM paused_until - clock_timestamp())::float8 AS left \
    FROM quotas WHERE paused_until > clock_timestamp()";
const BEGIN: &str = "INSERT INTO quotas (name) VALUES ('') ON CONFLICT (name) DO NOTHING";
/// One row stands for all: who changes shares of whatever budget is alone with them.
const LOCK: &str = "SELECT name FROM quotas WHERE name = '' FOR UPDATE";
/// Its node stays as it is until the change is there: one that was buried gets nothing more.
const HOLD: &str = "INSERT INTO quota_shares (name, epoch, permits) \
    SELECT $1, epoch, $3 FROM nodes WHERE epoch = $2 FOR SHARE \
    ON CONFLICT (name, epoch) DO UPDATE SET permits = excluded.permits";
const EXPIRE: &str = "UPDATE quota_shares SET expires_at = clock_timestamp() + $3 * interval '1 second' \
    WHERE name = $1 AND epoch = $2 AND expires_at IS NULL";
const FORGET: &str =
    "DELETE FROM quota_shares WHERE name = $1 AND epoch = $2 AND expires_at < clock_timestamp()";
const PAUSE: &str = "INSERT INTO quotas (name, paused_until) VALUES ($1, clock_timestamp() + $2 * interval '1 second') \
    ON CONFLICT (name) DO UPDATE SET paused_until = greatest(quotas.paused_until, excluded.paused_until)";

#[derive(FromQueryResult)]
struct ShareRow {
    name: String,
    epoch: i64,
    permits: i32,
    orphaned: bool,
    expires_in: Option<f64>,
}

#[derive(FromQueryResult)]
struct PauseRow {
    name: String,
    left: f64,
}

impl Store {
    /// All shares as they are.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn shares(&self) -> Result<Shares, StoreError> {
        read(&self.fleet_sql()).await
    }

    /// Changes shares, with nobody else changing any meanwhile: `decide` is told how they are. What the node of this epoch
    /// is to hold it holds only if it is a node; whether it is, and all was done, is answered.
    ///
    /// # Errors
    /// As [`Store::relay`]; then it is not known what was changed.
    pub async fn change_shares(
        &self,
        epoch: i64,
        decide: impl FnOnce(&Shares) -> Vec<ShareChange> + Send,
    ) -> Result<bool, StoreError> {
        self.fleet_sql().execute_raw(statement(BEGIN, [])).await?;
        let transaction = self.pools().fleet.begin().await?;
        let sql = Sql(&transaction);
        sql.execute_raw(statement(LOCK, [])).await?;
        let changes = decide(&read(&sql).await?);
        let mut all_done = true;
        for change in changes {
            let (sql_text, values) = match change {
                ShareChange::Hold { budget, permits } => {
                    let permits = i32::try_from(permits).unwrap_or(i32::MAX);
                    (HOLD, vec![budget.into(), epoch.into(), permits.into()])
                }
                ShareChange::Expire {
                    budget,
                    epoch,
                    after,
                } => (
                    EXPIRE,
                    vec![budget.into(), epoch.into(), after.as_secs_f64().into()],
                ),
                ShareChange::Forget { budget, epoch } => {
                    (FORGET, vec![budget.into(), epoch.into()])
                }
                ShareChange::Pause { budget, pause } => {
                    (PAUSE, vec![budget.into(), pause.as_secs_f64().into()])
                }
            };
            let done = sql.execute_raw(statement(sql_text, values)).await?;
            all_done &= sql_text != HOLD || done.rows_affected() > 0;
        }
        transaction.commit().await?;
        Ok(all_done)
    }
}

async fn read(sql: &impl ConnectionTrait) -> Result<Shares, StoreError> {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let shares = ShareRow::find_by_statement(statement(SHARES, []))
        .all(sql)
        .await?;
    let pauses = PauseRow::find_by_statement(statement(PAUSES, []))
        .all(sql)
        .await?;
    Ok(Shares {
        all: shares
            .into_iter()
            .map(|row| Share {
                budget: row.name,
                epoch: row.epoch,
                permits: u32::try_from(row.permits).unwrap_or_default(),
                orphaned: row.orphaned,
                expires_in: row.expires_in.map(seconds),
            })
            .collect(),
        pauses: pauses
            .into_iter()
            .map(|row| (row.name, seconds(row.left)))
            .collect(),
    })
}
