//! Messages between nodes. A row is deleted when it is read, so a message may be lost with its reader: only hints and
//! questions go this way.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::listen::{CHANNEL, FleetSignal, payload};
use super::{sql, statement};
use crate::store::{Store, StoreError};

#[derive(FromQueryResult)]
struct MessageRow {
    body: String,
}

impl Store {
    /// Stores a message and signals its recipient.
    pub async fn send_peer_message(&self, recipient: i64, body: String) -> Result<(), StoreError> {
        let signal = payload(Some(recipient), FleetSignal::PeerMessages);
        let send = [recipient.into(), body.into(), CHANNEL.into(), signal.into()];
        self.fleet_sql()
            .execute_raw(statement(sql::SEND_MESSAGE, send))
            .await?;
        Ok(())
    }

    /// Takes a node's messages, oldest first. An error may lose them.
    pub async fn take_peer_messages(&self, epoch: i64) -> Result<Vec<String>, StoreError> {
        let taken = MessageRow::find_by_statement(statement(sql::TAKE_MESSAGES, [epoch.into()]))
            .all(&self.fleet_sql())
            .await?;
        Ok(taken.into_iter().map(|row| row.body).collect())
    }
}
