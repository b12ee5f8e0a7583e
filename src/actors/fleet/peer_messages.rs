//! What nodes write to each other. A letter saves time, and may be lost with its reader: nothing depends on it.

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

/// A letter from one node to another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::actors) enum PeerMessage {
    /// The recorder's page of a relay of yours reported here.
    PageReport {
        relay_id: Uuid,
        attempt: u32,
        report: PageReport,
    },
    /// Nothing stands in the way of your relay's egress any more.
    PredecessorDown { relay_id: Uuid },
    /// A vendor's notification, verified here, that speaks of no relay of mine.
    Notice { endpoint: String, notice: Value },
}

/// Sends a letter; one that cannot be sent is lost.
pub(in crate::actors) async fn send(shared: &Shared, recipient: i64, peer_message: &PeerMessage) {
    let sent = match serde_json::to_string(peer_message) {
        Ok(body) => shared.store.send_peer_message(recipient, body).await,
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, recipient, "a letter was not sent");
    }
}

/// Acts on a letter. One of a later version is passed over.
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
            tracing::debug!(%error, "a letter was not understood");
            return;
        }
    };
    let tell = Deliver::from(event);
    shared.send_to_registry(DeliverTo { relay_id, tell });
}

/// Tells the relay that holds a channel's slot, wherever it is, if nothing of the channel's relays before stands in its way.
/// What another node's relay has come to is known as it is stored.
pub(in crate::actors) fn notify_if_down(shared: &Arc<Shared>, channel_id: i64) {
    let told = shared.clone();
    let tell = async move {
        let relays = match told.store.unfinished_of_channel(channel_id).await {
            Ok(relays) => relays,
            Err(error) => {
                // The wait for the predecessor has an end of its own.
                tracing::debug!(%error, "it was not looked up what stands in an egress's way");
                return;
            }
        };
        let in_the_way = relays.iter().any(|stored| {
            let here = told.directory.get(stored.row.id);
            let is_down = here.is_some_and(|relay| relay.egress_is_down);
            stored.row.phase == Phase::Stopping.to_string() && !is_down
        });
        if in_the_way {
            return;
        }
        for stored in relays {
            let relay_id = stored.row.id;
            if told.directory.get(relay_id).is_some() {
                let tell = Deliver::from(Event::PredecessorDown);
                told.send_to_registry(DeliverTo { relay_id, tell });
            } else {
                send(
                    &told,
                    stored.epoch,
                    &PeerMessage::PredecessorDown { relay_id },
                )
                .await;
            }
        }
    };
    shared.runtime.spawn(tell.in_current_span());
}

/// Hands a vendor's notification to all other nodes.
pub(in crate::actors) async fn pass_on(shared: &Shared, endpoint: &str, notice: Value) {
    let own = shared.epoch();
    let endpoint = endpoint.to_owned();
    let peer_message = PeerMessage::Notice { endpoint, notice };
    for recipient in shared.fleet.epochs() {
        if recipient != own {
            send(shared, recipient, &peer_message).await;
        }
    }
}
