//! Each node's share of a vendor's quota. A gone node's share stays reserved until its calls have left the quota's
//! window.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, TransactionTrait};

use super::{sql, statement};
use crate::store::sql::Sql;
use crate::store::{Store, StoreError};

/// A node's share of a quota.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The quota's name.
    pub budget: String,
    /// The node's epoch.
    pub epoch: i64,
    /// Calls per window.
    pub permits: u32,
    /// Whether the node is gone.
    pub orphaned: bool,
    /// In how long the share becomes free, once [`ShareChange::Expire`] has set it.
    pub expires_in: Option<Duration>,
}

/// The shares of all quotas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares {
    /// By quota and epoch.
    pub all: Vec<Share>,
    /// By quota, how much longer no node may use it.
    pub pauses: HashMap<String, Duration>,
}

/// A change of a share or a quota; `budget` is the quota's name.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields' names suffice")]
pub enum ShareChange {
    /// This node holds a share.
    Hold {
        budget: String,
        /// Calls per window.
        permits: u32,
    },
    /// A gone node's share becomes free later.
    Expire {
        budget: String,
        epoch: i64,
        after: Duration,
    },
    /// An expired share becomes free.
    Forget { budget: String, epoch: i64 },
    /// The vendor rejected calls: no node may use the quota meanwhile.
    Pause { budget: String, pause: Duration },
}

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
    /// The current shares and pauses.
    pub async fn shares(&self) -> Result<Shares, StoreError> {
        read(&self.fleet_sql()).await
    }

    /// Applies the changes that `decide` derives from the current shares, under a lock. Returns false if this node got
    /// no share because it was removed. After an error the outcome is unknown.
    pub async fn change_shares(
        &self,
        epoch: i64,
        decide: impl FnOnce(&Shares) -> Vec<ShareChange> + Send,
    ) -> Result<bool, StoreError> {
        self.fleet_sql()
            .execute_raw(statement(sql::CREATE_SHARES_LOCK, []))
            .await?;
        let transaction = self.pools().fleet.begin().await?;
        let sql = Sql(&transaction);
        sql.execute_raw(statement(sql::LOCK_SHARES, [])).await?;
        let changes = decide(&read(&sql).await?);
        let mut all_done = true;
        for change in changes {
            let holds = matches!(change, ShareChange::Hold { .. });
            let (sql_text, values) = match change {
                ShareChange::Hold { budget, permits } => {
                    let permits = i32::try_from(permits).unwrap_or(i32::MAX);
                    (
                        sql::HOLD_SHARE,
                        vec![budget.into(), epoch.into(), permits.into()],
                    )
                }
                ShareChange::Expire {
                    budget,
                    epoch,
                    after,
                } => (
                    sql::EXPIRE_SHARE,
                    vec![budget.into(), epoch.into(), after.as_secs_f64().into()],
                ),
                ShareChange::Forget { budget, epoch } => {
                    (sql::DELETE_SHARE, vec![budget.into(), epoch.into()])
                }
                ShareChange::Pause { budget, pause } => (
                    sql::PAUSE_QUOTA,
                    vec![budget.into(), pause.as_secs_f64().into()],
                ),
            };
            let done = sql.execute_raw(statement(sql_text, values)).await?;
            all_done &= !holds || done.rows_affected() > 0;
        }
        transaction.commit().await?;
        Ok(all_done)
    }
}

async fn read(sql: &impl ConnectionTrait) -> Result<Shares, StoreError> {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let shares = ShareRow::find_by_statement(statement(sql::SHARES, []))
        .all(sql)
        .await?;
    let pauses = PauseRow::find_by_statement(statement(sql::PAUSES, []))
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
