//! What nodes tell each other at once: PostgreSQL's NOTIFY.
//!
//! It only saves time. Everything it tells of stands in a table, and who hears nothing looks there often enough: behind a
//! connection pooler in transaction mode LISTEN hears nothing at all, which a node notices by not hearing itself.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::statement;
use crate::store::connect::Target;
use crate::store::writer::{Failure, Tx};
use crate::store::{Store, StoreError};

/// The channel of PostgreSQL's that nodes listen to; each database has its own.
pub(super) const CHANNEL: &str = "relaykeeper";
/// Between two tries to listen.
const AGAIN: Duration = Duration::from_secs(1);
/// So much is heard and not yet taken; what comes then is left to the next poll.
const WAITING: usize = 256;

/// What a node may hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Heard {
    /// Relays are free, or nodes have changed.
    Free,
    /// A relay of this node's is to be stopped.
    Stop,
    /// There is mail for this node.
    PeerMessages,
    /// The outbox was written.
    Outbox,
    /// This node itself.
    Ping,
    /// It listens anew: what was told in between was missed.
    Anew,
}

/// Hears what nodes tell each other, until it is dropped.
#[derive(Debug)]
pub struct Listener {
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Listener {
    /// The next that is told to this node, or to all.
    pub async fn next(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(heard) => heard,
            // The task ends with this.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Listens to what is told to the node of this epoch, and to all. On SQLite there is nobody to hear.
    #[must_use]
    pub fn listen(&self, epoch: i64) -> Listener {
        let (tell, heard) = mpsc::channel(WAITING);
        let target = self.inner.target.clone();
        let told = self.inner.writer.clone();
        let task = tokio::spawn(async move {
            let Target::Postgres(options) = target else {
                return std::future::pending().await;
            };
            loop {
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_lazy_with(*options.clone());
                let hear = async {
                    let mut listener = PgListener::connect_with(&pool).await?;
                    listener.listen(CHANNEL).await?;
                    let _ = tell.try_send(Heard::Anew);
                    // None: the connection broke.
                    while let Some(notice) = listener.try_recv().await? {
                        match read(notice.payload(), epoch) {
                            Some(Heard::Outbox) => told.outbox_was_written(),
                            Some(heard) => {
                                let _ = tell.try_send(heard);
                            }
                            None => {}
                        }
                    }
                    Ok::<_, sea_orm::sqlx::Error>(())
                };
                if let Err(error) = hear.await {
                    tracing::debug!(%error, "nothing is heard of other nodes; tried again");
                }
                pool.close().await;
                tokio::time::sleep(AGAIN).await;
            }
        });
        Listener { heard, task }
    }

    /// Tells one node, or all, something at once.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn tell(&self, recipient: Option<i64>, what: Heard) -> Result<(), StoreError> {
        let notice = statement(
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), payload(recipient, what).into()],
        );
        self.fleet_sql().execute_raw(notice).await?;
        Ok(())
    }
}

/// Notifies other nodes of new rows in the outbox, with the commit.
pub(in crate::store) async fn notify_outbox(tx: &Tx<'_>) -> Result<(), Failure> {
    if tx.sql.get_database_backend() == DbBackend::Postgres {
        let notice = statement(
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), payload(None, Heard::Outbox).into()],
        );
        tx.sql.execute_raw(notice).await?;
    }
    Ok(())
}

/// `<epoch or *> <what>`.
pub(super) fn payload(recipient: Option<i64>, what: Heard) -> String {
    let recipient = recipient.map_or("*".to_owned(), |epoch| epoch.to_string());
    format!("{recipient} {what}")
}

/// What a payload tells the node of this epoch. A word of a later version is passed over.
fn read(payload: &str, epoch: i64) -> Option<Heard> {
    let (recipient, what) = payload.split_once(' ')?;
    let ours = recipient == "*" || recipient.parse() == Ok(epoch);
    what.parse().ok().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_hears_what_is_told_to_it_and_to_all() {
        assert_eq!(read(&payload(Some(7), Heard::Stop), 7), Some(Heard::Stop));
        assert_eq!(read(&payload(None, Heard::Free), 7), Some(Heard::Free));
        assert_eq!(read(&payload(Some(8), Heard::Stop), 7), None);
        for odd in ["", "*", "7", "* of_a_later_version", "x stop"] {
            assert_eq!(read(odd, 7), None, "{odd}");
        }
    }
}
