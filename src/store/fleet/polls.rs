//! Polls of a vendor that one node makes for all: a node that needs a result makes the poll if it is due, and otherwise
//! gets the last result.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{sql, statement};
use crate::store::{Store, StoreError};

/// A poll whose result all nodes share.
#[derive(Debug, Clone)]
pub struct SharedPoll {
    /// Identifies it.
    pub name: &'static str,
    /// The result must reach back to this.
    pub since: DateTime<Utc>,
    /// Least time between two polls.
    pub interval: Duration,
    /// After this, a poll without a result is given to another node.
    pub patience: Duration,
    /// Results older than this are too old.
    pub asked: Duration,
}

/// The answer to a node that needs a [`SharedPoll`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollTurn {
    /// The last poll's result.
    Found(String),
    /// The node makes the poll.
    Yours,
    /// The node asks again later: a poll is under way, or the last one is too recent.
    NotYet,
}

#[derive(FromQueryResult)]
struct SharedPollRow {
    found: String,
}

impl Store {
    /// Returns the last result, or gives this node the poll if it is due.
    pub async fn shared_poll(&self, epoch: i64, poll: &SharedPoll) -> Result<PollTurn, StoreError> {
        let sql = self.fleet_sql();
        let name = || poll.name.into();
        sql.execute_raw(statement(sql::CREATE_POLL, [name()]))
            .await?;
        let last = [name(), poll.since.into(), poll.asked.as_secs_f64().into()];
        if let Some(last) = SharedPollRow::find_by_statement(statement(sql::LAST_POLL, last))
            .one(&sql)
            .await?
        {
            return Ok(PollTurn::Found(last.found));
        }
        let take = [
            name(),
            epoch.into(),
            poll.interval.as_secs_f64().into(),
            poll.patience.as_secs_f64().into(),
        ];
        let taken = sql.execute_raw(statement(sql::TAKE_POLL, take)).await?;
        Ok(match taken.rows_affected() {
            0 => PollTurn::NotYet,
            _ => PollTurn::Yours,
        })
    }

    /// Stores a poll's result, unless another node has the poll by now.
    pub async fn finish_shared_poll(
        &self,
        epoch: i64,
        name: &'static str,
        since: DateTime<Utc>,
        found: String,
    ) -> Result<(), StoreError> {
        let put = [name.into(), epoch.into(), since.into(), found.into()];
        self.fleet_sql()
            .execute_raw(statement(sql::FINISH_POLL, put))
            .await?;
        Ok(())
    }

    /// Records that a poll failed: the next is due after the interval.
    pub async fn abandon_shared_poll(
        &self,
        epoch: i64,
        name: &'static str,
    ) -> Result<(), StoreError> {
        let give_up = [name.into(), epoch.into()];
        self.fleet_sql()
            .execute_raw(statement(sql::ABANDON_POLL, give_up))
            .await?;
        Ok(())
    }
}
