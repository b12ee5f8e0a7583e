//! Messages between nodes. They save time and may be lost: nothing depends on them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::relay::{Notice, PageReport};
use crate::store::{Store, StoreError};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PeerMessage {
    /// For a relay of the recipient.
    PageReport {
        relay_id: Uuid,
        attempt: u32,
        report: PageReport,
    },
    PredecessorDown {
        relay_id: Uuid,
    },
    /// About a relay of the recipient.
    Notice(Notice),
}

pub(super) async fn send(store: &Store, recipient: i64, peer_message: &PeerMessage) {
    let sent = match serde_json::to_string(peer_message) {
        Ok(body) => store.send_peer_message(recipient, body).await,
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, recipient, "peer message not sent");
    }
}

/// `None`: only a later version knows the message.
pub(super) fn read(peer_message: &str) -> Option<PeerMessage> {
    serde_json::from_str(peer_message)
        .inspect_err(|error| tracing::debug!(%error, "unknown peer message"))
        .ok()
}
