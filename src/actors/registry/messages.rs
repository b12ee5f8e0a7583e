//! What the registry is told and asked.

use actix::Message;
use tracing::Span;
use uuid::Uuid;

use crate::actors::calls::VendorCalls;
use crate::actors::records;
use crate::actors::relay_actor::Deliver;
use crate::relay::{Action, Relay};
use crate::store::StoredRelay;

/// A relay that was just stored begins its work.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Spawn {
    pub(in crate::actors) relay: Relay,
    pub(in crate::actors) actions: Vec<Action>,
    pub(in crate::actors) revision: i64,
    /// The epoch it was stored under.
    pub(in crate::actors) epoch: i64,
    /// The request's span.
    pub(in crate::actors) parent: Span,
}

/// Relays that were left unfinished, and are this process's now.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Adopt {
    pub(in crate::actors) relays: Vec<LoadedRelay>,
}

/// A relay as it was found in the store.
pub(in crate::actors) enum LoadedRelay {
    /// It can go on.
    Relay {
        relay: Box<Relay>,
        revision: i64,
        epoch: i64,
    },
    /// Its state cannot be read.
    Unreadable {
        stored: Box<StoredRelay>,
        reason: String,
    },
}

impl From<StoredRelay> for LoadedRelay {
    fn from(stored: StoredRelay) -> Self {
        match records::durable(&stored) {
            // Numbers of calls do not meet those of the process before: their answers died with it.
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
    /// Which relay it is.
    pub(super) fn relay_id(&self) -> Uuid {
        match self {
            Self::Relay { relay, .. } => relay.durable().spec.relay_id,
            Self::Unreadable { stored, .. } => stored.row.id,
        }
    }
}

/// Something for one relay to hear.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct DeliverTo {
    pub(in crate::actors) relay_id: Uuid,
    pub(in crate::actors) tell: Deliver,
}

/// A channel's egress is down: another relay of the channel may start its own.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct EgressDown {
    pub(in crate::actors) channel_id: i64,
}

/// The relays are another process's: all actors go without a word. Answers whose calls may still be under way.
#[derive(Message)]
#[rtype(result = "Vec<VendorCalls>")]
pub(in crate::actors) struct DropAll;

/// At most so many relays shall go to another process: live ones, of which nothing is under way. Answers which, and whose
/// calls may be under way after all.
#[derive(Message)]
#[rtype(result = "Vec<(Uuid, VendorCalls)>")]
pub(in crate::actors) struct HandOff(pub(in crate::actors) usize);

/// A relay turned out to be another process's.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Evict(pub(in crate::actors) Uuid);

/// Which relays this process has.
#[derive(Message)]
#[rtype(result = "Vec<Uuid>")]
pub(in crate::actors) struct ListRelays;
