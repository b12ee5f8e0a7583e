//! A look at a vendor that one node makes for all: who wants one takes it over when it is due, and finds what the last one
//! brought when it is not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::statement;
use crate::store::{Store, StoreError};

/// A look that one node makes for all.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Which.
    pub name: &'static str,
    /// How far back it must go.
    pub since: DateTime<Utc>,
    /// Between two looks.
    pub interval: Duration,
    /// Who does not come back with what it found within this is passed over.
    pub patience: Duration,
    /// How long ago it was asked for: what was found before that is too old.
    pub asked: Duration,
}

/// What became of asking for a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Another node, or this one, has just looked, and found this.
    Found(String),
    /// It is this node's turn.
    Yours,
    /// Not yet: somebody looks, or the last poll was a moment ago.
    NotYet,
}

/// The row is there from the first time on.
const BEGIN: &str = "INSERT INTO shared_polls (name, taken_by, taken_at, found) \
    VALUES ($1, 0, 'epoch', '') ON CONFLICT (name) DO NOTHING";
const LAST: &str = "SELECT found FROM shared_polls WHERE name = $1 AND since <= $2 \
    AND polled_at >= clock_timestamp() - $3 * interval '1 second'";
/// One of those who ask at the same time has the row first; the others find it taken.
const TAKE: &str = "UPDATE shared_polls SET taken_by = $2, taken_at = clock_timestamp() WHERE name = $1 \
    AND taken_at < clock_timestamp() - $3 * interval '1 second' \
    AND (polled_at IS NULL OR polled_at >= taken_at OR taken_at < clock_timestamp() - $4 * interval '1 second')";
const PUT: &str = "UPDATE shared_polls SET polled_at = clock_timestamp(), since = $3, found = $4 \
    WHERE name = $1 AND taken_by = $2";
const GIVE_UP: &str = "UPDATE shared_polls SET polled_at = taken_at, since = NULL, found = '' WHERE name = $1 AND taken_by = $2";

#[derive(FromQueryResult)]
struct Found {
    found: String,
}

impl Store {
    /// Asks for a poll that is shared by all nodes.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn shared_poll(&self, epoch: i64, poll: &Poll) -> Result<Polled, StoreError> {
        let sql = self.fleet_sql();
        let name = || poll.name.into();
        sql.execute_raw(statement(BEGIN, [name()])).await?;
        let last = [name(), poll.since.into(), poll.asked.as_secs_f64().into()];
        if let Some(last) = Found::find_by_statement(statement(LAST, last))
            .one(&sql)
            .await?
        {
            return Ok(Polled::Found(last.found));
        }
        let take = [
            name(),
            epoch.into(),
            poll.interval.as_secs_f64().into(),
            poll.patience.as_secs_f64().into(),
        ];
        let taken = sql.execute_raw(statement(TAKE, take)).await?;
        Ok(match taken.rows_affected() {
            0 => Polled::NotYet,
            _ => Polled::Yours,
        })
    }

    /// Puts down what a poll found for all; one that was passed over meanwhile is not.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn put_poll(
        &self,
        epoch: i64,
        name: &'static str,
        since: DateTime<Utc>,
        found: String,
    ) -> Result<(), StoreError> {
        let put = [name.into(), epoch.into(), since.into(), found.into()];
        self.fleet_sql().execute_raw(statement(PUT, put)).await?;
        Ok(())
    }

    /// A look that failed: another may be made when the interval is over.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn give_up_poll(&self, epoch: i64, name: &'static str) -> Result<(), StoreError> {
        let give_up = [name.into(), epoch.into()];
        self.fleet_sql()
            .execute_raw(statement(GIVE_UP, give_up))
            .await?;
        Ok(())
    }
}
