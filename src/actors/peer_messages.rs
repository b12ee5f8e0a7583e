//! Messages between nodes. They save time and may be lost: nothing depends on them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::messages::Mailboxes;
use super::status::NodeStatus;
use crate::relay::{Event, PageReport};
use crate::store::{Store, StoreError};

/// Handles a notification that another node forwards; the first argument is its endpoint.
pub(super) type NoticeReader = Arc<dyn Fn(&str, &Value) + Send + Sync>;

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
    /// A verified vendor notification that concerns no relay of the sender.
    Notice {
        endpoint: String,
        notice: Value,
    },
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

/// Ignores messages that only a later version knows.
pub(super) fn read(mailboxes: &Mailboxes, on_notice: &NoticeReader, peer_message: &str) {
    let (relay_id, event) = match serde_json::from_str(peer_message) {
        Ok(PeerMessage::PageReport {
            relay_id,
            attempt,
            report,
        }) => (relay_id, Event::Page { attempt, report }),
        Ok(PeerMessage::PredecessorDown { relay_id }) => (relay_id, Event::PredecessorDown),
        Ok(PeerMessage::Notice { endpoint, notice }) => {
            return on_notice(&endpoint, &notice);
        }
        Err(error) => {
            tracing::debug!(%error, "unknown peer message");
            return;
        }
    };
    mailboxes.deliver(relay_id, event);
}

pub(super) async fn broadcast_notice(
    store: &Store,
    status: &NodeStatus,
    endpoint: &str,
    notice: Value,
) {
    let own = status.epoch();
    let endpoint = endpoint.to_owned();
    let peer_message = PeerMessage::Notice { endpoint, notice };
    for recipient in status.epochs() {
        if recipient != own {
            send(store, recipient, &peer_message).await;
        }
    }
}
