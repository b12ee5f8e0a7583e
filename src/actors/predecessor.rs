//! Tells a channel's relays when the egress of the relay before them is down. May be lost: their wait has a time limit.

use std::sync::Arc;

use tracing::Instrument as _;

use super::context::NodeContext;
use super::messages::Mailboxes;
use super::peer_messages::{self, PeerMessage};
use crate::relay::{Event, Phase};

pub(super) fn notify_if_down(
    context: &Arc<NodeContext>,
    mailboxes: &Arc<Mailboxes>,
    channel_id: i64,
) {
    if context.store.is_shared() {
        let notify = notify_all_nodes(context.clone(), mailboxes.clone(), channel_id);
        context.runtime.spawn(notify.in_current_span());
        return;
    }
    let relays = context.directory.of_channel(channel_id);
    let blocked = relays
        .iter()
        .any(|relay| !relay.durable.phase.holds_slot() && !relay.egress_is_down);
    if !blocked {
        for relay in relays {
            mailboxes.deliver(relay.durable.spec.relay_id, Event::PredecessorDown);
        }
    }
}

/// Remote relays count as stored.
async fn notify_all_nodes(context: Arc<NodeContext>, mailboxes: Arc<Mailboxes>, channel_id: i64) {
    let relays = match context.store.unfinished_of_channel(channel_id).await {
        Ok(relays) => relays,
        Err(error) => {
            tracing::debug!(%error, "cannot read the channel's relays");
            return;
        }
    };
    let blocked = relays.iter().any(|stored| {
        let here = context.directory.get(*stored.id);
        let is_down = here.is_some_and(|relay| relay.egress_is_down);
        stored.phase == Phase::Stopping && !is_down
    });
    if blocked {
        return;
    }
    for stored in relays {
        let relay_id = *stored.id;
        if context.directory.get(relay_id).is_some() {
            mailboxes.deliver(relay_id, Event::PredecessorDown);
        } else {
            let peer_message = PeerMessage::PredecessorDown { relay_id };
            peer_messages::send(&context.store, stored.epoch, &peer_message).await;
        }
    }
}
