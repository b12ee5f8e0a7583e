//! Tells a channel's relays when the egress of the relay before them is down. May be lost: their wait has a time limit.

use std::sync::Arc;

use tracing::Instrument as _;

use super::cluster::PeerMessage;
use super::context::NodeContext;
use super::messages::Mailboxes;
use crate::relay::{Event, Phase};

/// Remote relays count as stored.
pub(super) fn notify_if_down(
    context: &Arc<NodeContext>,
    mailboxes: &Arc<Mailboxes>,
    channel_id: i64,
) {
    let (context, mailboxes) = (context.clone(), mailboxes.clone());
    let runtime = context.runtime.clone();
    let notify = async move {
        let remote = context.cluster.relays_of(channel_id, &context.directory);
        let remote = match remote.await {
            Ok(remote) => remote,
            Err(error) => {
                tracing::debug!(%error, "cannot read the channel's relays");
                return;
            }
        };
        let here = context.directory.of_channel(channel_id);
        let blocked = here
            .iter()
            .any(|relay| !relay.durable.phase.holds_slot() && !relay.egress_is_down);
        if blocked || remote.iter().any(|stored| stored.phase == Phase::Stopping) {
            return;
        }
        for relay in here {
            mailboxes.deliver(relay.durable.spec.relay_id, Event::PredecessorDown);
        }
        for stored in remote {
            let relay_id = *stored.id;
            let peer_message = PeerMessage::PredecessorDown { relay_id };
            context.cluster.send(stored.epoch, &peer_message).await;
        }
    };
    runtime.spawn(notify.in_current_span());
}
