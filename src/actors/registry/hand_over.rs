//! Relays that move to another process: their actors stop without further writes.

use actix::{Handler, MessageResult};
use uuid::Uuid;

use super::{Child, Registry};
use crate::actors::calls::VendorCalls;
use crate::actors::messages::{DropAll, Evict, HandOff, ListRelays};
use crate::actors::relay_actor::Stop;
use crate::relay::Phase;

impl Registry {
    /// Calls may still be in flight.
    fn evict(&mut self, relay_id: Uuid) -> Option<VendorCalls> {
        let child = self.children.remove(&relay_id)?;
        // Prevents further calls, even in the middle of a step.
        child.calls.in_flight().close();
        self.context.directory.remove(relay_id);
        if let Some(actor) = child.actor {
            actor.do_send(Stop);
        }
        Some(child.calls)
    }
}

impl Handler<DropAll> for Registry {
    type Result = MessageResult<DropAll>;

    fn handle(&mut self, _: DropAll, _: &mut Self::Context) -> Self::Result {
        let all: Vec<Uuid> = self.children.keys().copied().collect();
        MessageResult(all.into_iter().filter_map(|id| self.evict(id)).collect())
    }
}

impl Handler<HandOff> for Registry {
    type Result = MessageResult<HandOff>;

    fn handle(&mut self, HandOff(most): HandOff, _: &mut Self::Context) -> Self::Result {
        let live = |(relay_id, child): (&Uuid, &Child)| {
            let relay = self.context.directory.get(*relay_id)?;
            let busy = !child.calls.in_flight().is_empty();
            (relay.durable.phase == Phase::Live).then_some((busy, *relay_id))
        };
        let mut live: Vec<(bool, Uuid)> = self.children.iter().filter_map(live).collect();
        live.sort_unstable();
        live.truncate(most);
        let evicted = |(_, relay_id)| Some((relay_id, self.evict(relay_id)?));
        MessageResult(live.into_iter().filter_map(evicted).collect())
    }
}

impl Handler<Evict> for Registry {
    type Result = ();

    fn handle(&mut self, Evict(relay_id): Evict, _: &mut Self::Context) {
        if let Some(calls) = self.evict(relay_id) {
            calls.abandon();
        }
    }
}

impl Handler<ListRelays> for Registry {
    type Result = MessageResult<ListRelays>;

    fn handle(&mut self, _: ListRelays, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.children.keys().copied().collect())
    }
}
