//! Relays that go to another process: their actors leave without a word.

use actix::{Handler, MessageResult};
use uuid::Uuid;

use super::messages::{Abandon, LetGo, Release, RollCall};
use super::{Child, Registry};
use crate::actors::calls::Caller;
use crate::actors::relay_actor::Leave;
use crate::relay::Phase;

impl Registry {
    /// A relay goes to another process. Its calls may still be under way.
    fn let_go(&mut self, relay_id: Uuid) -> Option<Caller> {
        let child = self.children.remove(&relay_id)?;
        // No call is made from here on, whatever its actor is about.
        child.caller.in_flight().close();
        self.shared.directory.remove(relay_id);
        if let Some(actor) = child.actor {
            actor.do_send(Leave);
        }
        Some(child.caller)
    }
}

impl Handler<Abandon> for Registry {
    type Result = MessageResult<Abandon>;

    fn handle(&mut self, _: Abandon, _: &mut Self::Context) -> Self::Result {
        let all: Vec<Uuid> = self.children.keys().copied().collect();
        MessageResult(all.into_iter().filter_map(|id| self.let_go(id)).collect())
    }
}

impl Handler<Release> for Registry {
    type Result = MessageResult<Release>;

    fn handle(&mut self, Release(most): Release, _: &mut Self::Context) -> Self::Result {
        let live = |(relay_id, child): (&Uuid, &Child)| {
            let relay = self.shared.directory.get(*relay_id)?;
            let busy = !child.caller.in_flight().is_empty();
            (relay.durable.phase == Phase::Live).then_some((busy, *relay_id))
        };
        let mut live: Vec<(bool, Uuid)> = self.children.iter().filter_map(live).collect();
        live.sort_unstable();
        live.truncate(most);
        let gone = |(_, relay_id)| Some((relay_id, self.let_go(relay_id)?));
        MessageResult(live.into_iter().filter_map(gone).collect())
    }
}

impl Handler<LetGo> for Registry {
    type Result = ();

    fn handle(&mut self, LetGo(relay_id): LetGo, _: &mut Self::Context) {
        if let Some(caller) = self.let_go(relay_id) {
            caller.abandon();
        }
    }
}

impl Handler<RollCall> for Registry {
    type Result = MessageResult<RollCall>;

    fn handle(&mut self, _: RollCall, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.children.keys().copied().collect())
    }
}
