//! Signals between nodes by PostgreSQL's NOTIFY.
//!
//! They only save time: nodes also poll the tables. Behind a connection pooler in transaction mode LISTEN receives
//! nothing; a node notices that its own pings do not arrive.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{sql, statement};
use crate::store::connect::Target;
use crate::store::writer::{OperationError, Tx};
use crate::store::{Id, Store, StoreError};

/// Each database has its own channel of this name.
pub(super) const CHANNEL: &str = "relaykeeper";
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Further signals are dropped: polls replace them.
const BUFFER: usize = 256;

/// What a node is told by NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum FleetSignal {
    /// Relays became unowned, or nodes changed.
    Free,
    /// A stop was requested of one of its relays.
    Stop,
    /// Peer messages wait for it.
    PeerMessages,
    /// The outbox or its deliveries were written.
    Outbox,
    /// The node's own ping.
    Ping,
    /// The listener reconnected: signals may have been missed.
    Resubscribed,
}

/// Receives signals until it is dropped.
#[derive(Debug)]
pub struct FleetListener {
    received: mpsc::Receiver<FleetSignal>,
    task: JoinHandle<()>,
}

impl FleetListener {
    /// Waits for the next signal.
    pub async fn next(&mut self) -> FleetSignal {
        match self.received.recv().await {
            Some(signal) => signal,
            // The task has ended; it ends with this listener.
            None => std::future::pending().await,
        }
    }
}

impl Drop for FleetListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Listens for signals to this node. On SQLite there are none.
    #[must_use]
    pub fn listen(&self, epoch: i64) -> FleetListener {
        let (signals, received) = mpsc::channel(BUFFER);
        let target = self.inner.target.clone();
        let (writer, stops) = (self.inner.writer.clone(), self.inner.stops.clone());
        let task = tokio::spawn(async move {
            let Target::Postgres(options) = target else {
                return std::future::pending().await;
            };
            loop {
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_lazy_with(*options.clone());
                let listening = async {
                    let mut listener = PgListener::connect_with(&pool).await?;
                    listener.listen(CHANNEL).await?;
                    let _ = signals.try_send(FleetSignal::Resubscribed);
                    // `None`: the connection broke.
                    while let Some(notice) = listener.try_recv().await? {
                        if let Some(relay_id) = stopped(notice.payload()) {
                            let _ = stops.send(Some(relay_id));
                            continue;
                        }
                        match read(notice.payload(), epoch) {
                            Some(FleetSignal::Outbox) => writer.outbox_was_written(),
                            Some(signal) => {
                                let _ = signals.try_send(signal);
                            }
                            None => {}
                        }
                    }
                    Ok::<_, sea_orm::sqlx::Error>(())
                };
                if let Err(error) = listening.await {
                    tracing::debug!(%error, "listening for signals failed; retrying");
                }
                pool.close().await;
                tokio::time::sleep(RETRY_AFTER).await;
            }
        });
        FleetListener { received, task }
    }

    /// Sends a signal to a node, or without a recipient to all.
    pub async fn notify(
        &self,
        recipient: Option<i64>,
        what: FleetSignal,
    ) -> Result<(), StoreError> {
        let notice = statement(
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), payload(recipient, what).into()],
        );
        self.fleet_sql().execute_raw(notice).await?;
        Ok(())
    }
}

/// Signals that messages were written to the outbox, and which relays of `stopped` another node waits for. PostgreSQL
/// sends it when the transaction commits.
pub(in crate::store) async fn notify_outbox(
    tx: &Tx<'_>,
    stopped: impl IntoIterator<Item = Id>,
) -> Result<(), OperationError> {
    if tx.sql.get_database_backend() == DbBackend::Postgres {
        let stopped: Vec<String> = stopped.into_iter().map(|id| id.to_string()).collect();
        let outbox = payload(None, FleetSignal::Outbox);
        let notice = [CHANNEL.into(), outbox.into(), stopped.join(",").into()];
        tx.sql
            .execute_raw(statement(sql::NOTIFY_OUTBOX, notice))
            .await?;
    }
    Ok(())
}

/// `EPOCH SIGNAL`, or `* SIGNAL` for all nodes.
pub(super) fn payload(recipient: Option<i64>, what: FleetSignal) -> String {
    let recipient = recipient.map_or("*".to_owned(), |epoch| epoch.to_string());
    format!("{recipient} {what}")
}

/// See [`sql::NOTIFY_OUTBOX`].
fn stopped(payload: &str) -> Option<Uuid> {
    payload.strip_prefix("stopped ")?.parse().ok()
}

/// Ignores signals to other nodes, and those of later versions.
fn read(payload: &str, epoch: i64) -> Option<FleetSignal> {
    let (recipient, what) = payload.split_once(' ')?;
    let ours = recipient == "*" || recipient.parse() == Ok(epoch);
    what.parse().ok().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_signals_to_it_and_to_all() {
        assert_eq!(
            read(&payload(Some(7), FleetSignal::Stop), 7),
            Some(FleetSignal::Stop)
        );
        assert_eq!(
            read(&payload(None, FleetSignal::Free), 7),
            Some(FleetSignal::Free)
        );
        assert_eq!(read(&payload(Some(8), FleetSignal::Stop), 7), None);
        let relay_id = Uuid::from_u128(7);
        assert_eq!(stopped(&format!("stopped {relay_id}")), Some(relay_id));
        for odd in ["", "*", "7", "* of_a_later_version", "x stop"] {
            assert_eq!(read(odd, 7), None, "{odd}");
        }
    }
}
