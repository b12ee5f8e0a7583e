//! The registry's messages.

use actix::Message;
use tracing::Span;
use uuid::Uuid;

use crate::actors::calls::VendorCalls;
use crate::actors::relay_actor::Deliver;
use crate::relay::{Action, Relay};
use crate::store::StoredRelay;

#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Spawn {
    pub(in crate::actors) relay: Relay,
    pub(in crate::actors) actions: Vec<Action>,
    pub(in crate::actors) revision: i64,
    pub(in crate::actors) epoch: i64,
    pub(in crate::actors) parent: Span,
}

/// Starts actors for unfinished relays that this process now owns. Answered once every relay has its actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Adopt {
    pub(in crate::actors) relays: Vec<LoadedRelay>,
}

pub(in crate::actors) enum LoadedRelay {
    Relay {
        relay: Box<Relay>,
        revision: i64,
        epoch: i64,
    },
    Unreadable {
        stored: Box<StoredRelay>,
        reason: String,
    },
}

impl From<StoredRelay> for LoadedRelay {
    fn from(stored: StoredRelay) -> Self {
        match stored.durable() {
            // Call numbers may repeat the previous process's: its answers are lost with it.
            Ok(durable) => Self::Relay {
                relay: Box::new(Relay::load(durable, 1)),
                revision: stored.revision,
                epoch: stored.epoch,
            },
            Err(unreadable) => Self::Unreadable {
                reason: unreadable.to_string(),
                stored: Box::new(stored),
            },
        }
    }
}

impl LoadedRelay {
    pub(super) fn relay_id(&self) -> Uuid {
        match self {
            Self::Relay { relay, .. } => relay.durable().spec.relay_id,
            Self::Unreadable { stored, .. } => *stored.id,
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct DeliverTo {
    pub(in crate::actors) relay_id: Uuid,
    pub(in crate::actors) message: Deliver,
}

/// The channel's next relay may start its egress.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct EgressDown {
    pub(in crate::actors) channel_id: i64,
}

/// Stops every actor. Calls may still be in flight.
#[derive(Message)]
#[rtype(result = "Vec<VendorCalls>")]
pub(in crate::actors) struct DropAll;

/// Stops the actors of at most this many live relays, first of those without calls in flight.
#[derive(Message)]
#[rtype(result = "Vec<(Uuid, VendorCalls)>")]
pub(in crate::actors) struct HandOff(pub(in crate::actors) usize);

/// Stops the actor of another process's relay.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Evict(pub(in crate::actors) Uuid);

#[derive(Message)]
#[rtype(result = "Vec<Uuid>")]
pub(in crate::actors) struct ListRelays;
