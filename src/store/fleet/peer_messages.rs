//! Mail between nodes: a row each, read once. It is for what may be lost with its reader: hints, and questions.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::listen::{CHANNEL, Heard, payload};
use super::statement;
use crate::store::{Store, StoreError};

/// Written and told at once.
const SEND: &str = "WITH sent AS (INSERT INTO peer_messages (recipient, body) VALUES ($1, $2) RETURNING id) \
    SELECT pg_notify($3, $4) FROM sent";
/// All that there is for a node, the oldest first.
const TAKE: &str = "WITH taken AS (DELETE FROM peer_messages WHERE recipient = $1 RETURNING id, body) \
    SELECT body FROM taken ORDER BY id";

#[derive(FromQueryResult)]
struct Body {
    body: String,
}

impl Store {
    /// Sends a letter to a node.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn send_peer_messages(&self, recipient: i64, body: String) -> Result<(), StoreError> {
        let told = payload(Some(recipient), Heard::PeerMessages);
        let send = [recipient.into(), body.into(), CHANNEL.into(), told.into()];
        self.fleet_sql().execute_raw(statement(SEND, send)).await?;
        Ok(())
    }

    /// Takes all peer messages to a node, the oldest first.
    ///
    /// # Errors
    /// As [`Store::relay`]; peer messages may be lost then.
    pub async fn take_peer_messages(&self, epoch: i64) -> Result<Vec<String>, StoreError> {
        let taken = Body::find_by_statement(statement(TAKE, [epoch.into()]))
            .all(&self.fleet_sql())
            .await?;
        Ok(taken
            .into_iter()
            .map(|peer_message| peer_message.body)
            .collect())
    }
}
