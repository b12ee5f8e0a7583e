//! The actors' messages, and the addresses that take them.

use std::sync::Arc;

use actix::{Message, Recipient};
use tokio::sync::{Notify, oneshot};
use tracing::Span;
use uuid::Uuid;

use super::calls::VendorCalls;
use crate::relay::{Action, Durable, Event, Relay};
use crate::store::StoredRelay;

/// The registry's address by message, and what wakes the task that runs cleanup jobs.
#[derive(Debug)]
pub(super) struct Mailboxes {
    pub(super) deliver: Recipient<DeliverTo>,
    pub(super) spawn: Recipient<Spawn>,
    pub(super) adopt: Recipient<Adopt>,
    pub(super) drop_all: Recipient<DropAll>,
    pub(super) hand_off: Recipient<HandOff>,
    pub(super) evict: Recipient<Evict>,
    pub(super) list_relays: Recipient<ListRelays>,
    pub(super) new_cleanup_jobs: Arc<Notify>,
}

impl Mailboxes {
    pub(super) fn deliver(&self, relay_id: Uuid, message: impl Into<Deliver>) {
        let message = message.into();
        self.deliver.do_send(DeliverTo { relay_id, message });
    }
}

/// An event for a relay. `stored` receives the state once the step is stored.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Deliver {
    pub(super) event: Event,
    pub(super) stored: Option<oneshot::Sender<Arc<Durable>>>,
    /// The span of the request that caused the event.
    pub(super) parent: Span,
}

impl From<Event> for Deliver {
    fn from(event: Event) -> Self {
        Self {
            event,
            stored: None,
            parent: Span::none(),
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Spawn {
    pub(super) relay: Relay,
    pub(super) actions: Vec<Action>,
    pub(super) revision: i64,
    pub(super) epoch: i64,
    pub(super) parent: Span,
}

/// Starts actors for unfinished relays that this process now owns. Answered once every relay has its actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Adopt {
    pub(super) relays: Vec<LoadedRelay>,
}

pub(super) enum LoadedRelay {
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
pub(super) struct DeliverTo {
    pub(super) relay_id: Uuid,
    pub(super) message: Deliver,
}

/// Stops every actor. Calls may still be in flight.
#[derive(Message)]
#[rtype(result = "Vec<VendorCalls>")]
pub(super) struct DropAll;

/// Stops the actors of at most this many live relays, first of those without calls in flight.
#[derive(Message)]
#[rtype(result = "Vec<(Uuid, VendorCalls)>")]
pub(super) struct HandOff(pub(super) usize);

/// Stops the actor of another process's relay.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Evict(pub(super) Uuid);

#[derive(Message)]
#[rtype(result = "Vec<Uuid>")]
pub(super) struct ListRelays;
