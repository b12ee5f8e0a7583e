//! Messages between nodes. They save time and may be lost: nothing depends on them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::actors::registry::DeliverTo;
use crate::actors::relay_actor::Deliver;
use crate::actors::shared::Shared;
use crate::relay::{Event, PageReport, Phase};
use crate::store::StoreError;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::actors) enum PeerMessage {
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

pub(in crate::actors) async fn send(shared: &Shared, recipient: i64, peer_message: &PeerMessage) {
    let sent = match serde_json::to_string(peer_message) {
        Ok(body) => shared.store.send_peer_message(recipient, body).await,
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, recipient, "peer message not sent");
    }
}

/// Ignores messages that only a later version knows.
pub(super) fn read(shared: &Arc<Shared>, peer_message: &str) {
    let (relay_id, event) = match serde_json::from_str(peer_message) {
        Ok(PeerMessage::PageReport {
            relay_id,
            attempt,
            report,
        }) => (relay_id, Event::Page { attempt, report }),
        Ok(PeerMessage::PredecessorDown { relay_id }) => (relay_id, Event::PredecessorDown),
        Ok(PeerMessage::Notice { endpoint, notice }) => {
            return shared.read_forwarded_notice(&endpoint, &notice);
        }
        Err(error) => {
            tracing::debug!(%error, "unknown peer message");
            return;
        }
    };
    let message = Deliver::from(event);
    shared.send_to_registry(DeliverTo { relay_id, message });
}

/// For the relays of all nodes. Remote ones count as stored.
pub(in crate::actors) fn notify_if_down(shared: &Arc<Shared>, channel_id: i64) {
    let task_shared = shared.clone();
    let notify = async move {
        let relays = match task_shared.store.unfinished_of_channel(channel_id).await {
            Ok(relays) => relays,
            Err(error) => {
                // The wait for a predecessor has a time limit.
                tracing::debug!(%error, "cannot read the channel's relays");
                return;
            }
        };
        let blocked = relays.iter().any(|stored| {
            let here = task_shared.directory.get(*stored.id);
            let is_down = here.is_some_and(|relay| relay.egress_is_down);
            stored.phase == Phase::Stopping && !is_down
        });
        if blocked {
            return;
        }
        for stored in relays {
            let relay_id = *stored.id;
            if task_shared.directory.get(relay_id).is_some() {
                let message = Deliver::from(Event::PredecessorDown);
                task_shared.send_to_registry(DeliverTo { relay_id, message });
            } else {
                send(
                    &task_shared,
                    stored.epoch,
                    &PeerMessage::PredecessorDown { relay_id },
                )
                .await;
            }
        }
    };
    shared.runtime.spawn(notify.in_current_span());
}

pub(in crate::actors) async fn broadcast_notice(shared: &Shared, endpoint: &str, notice: Value) {
    let own = shared.epoch();
    let endpoint = endpoint.to_owned();
    let peer_message = PeerMessage::Notice { endpoint, notice };
    for recipient in shared.fleet.epochs() {
        if recipient != own {
            send(shared, recipient, &peer_message).await;
        }
    }
}
