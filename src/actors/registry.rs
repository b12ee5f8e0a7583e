//! The registry: one child per relay in work. It hears of every death, lets the dead actor's calls come home, loads the
//! relay from the store and starts it again; who dies too often is ended by plain SQL.

mod hand_over;
mod messages;
mod restart;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use tracing::Span;
use uuid::Uuid;

pub(super) use messages::{
    Abandon, Begin, EgressDown, LetGo, Recover, Recovered, Release, RollCall, TellRelay,
};

use super::calls::Caller;
use super::clock::Clock;
use super::directory::Snapshot;
use super::fleet::peer_messages;
use super::relay_actor::{Beginning, Parts, RelayActor, Tell};
use super::shared::Shared;
use super::supervise::{self, ExitCause, FailureReason};
use crate::relay::{Event, Relay};

/// How often it is checked that every child's thread still lives.
const ROLL_CALL: Duration = Duration::from_secs(5);

/// One relay in work.
struct Child {
    channel_id: i64,
    /// The epoch under which this process has it.
    epoch: i64,
    /// Which of all the actors there were it has: a notice of one that is gone is not taken for this one's.
    generation: u64,
    actor: Option<Addr<RelayActor>>,
    caller: Caller,
    deaths: VecDeque<Instant>,
    restarts: u32,
    /// What it was told while no actor was there to hear it.
    waiting: Vec<Tell>,
}

/// With what an actor is made.
struct Start {
    relay: Box<Relay>,
    revision: i64,
    beginning: Beginning,
    last_error: Option<String>,
    because: Span,
}

/// The registry of relays in work.
pub(super) struct Registry {
    shared: Arc<Shared>,
    arbiters: Vec<Arbiter>,
    children: HashMap<Uuid, Child>,
    last_generation: u64,
}

/// A child has come to its end.
#[derive(Message)]
#[rtype(result = "()")]
struct ChildExit {
    relay_id: Uuid,
    generation: u64,
    cause: ExitCause,
}

impl Registry {
    pub(super) fn start(shared: Arc<Shared>, threads: usize) -> Addr<Self> {
        let arbiters = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        Self {
            shared,
            arbiters,
            children: HashMap::new(),
            last_generation: 0,
        }
        .start()
    }

    /// The thread a relay lives on: always the same, or the one that took the place of a dead one.
    fn arbiter(&mut self, relay_id: Uuid) -> Option<ArbiterHandle> {
        let threads = u128::try_from(self.arbiters.len()).unwrap_or(1).max(1);
        let place = usize::try_from(relay_id.as_u128() % threads).unwrap_or(0);
        let arbiter = self.arbiters.get_mut(place)?;
        if !arbiter.alive() {
            tracing::error!("a thread of relays has gone; another takes its place");
            *arbiter = Arbiter::new();
        }
        Some(arbiter.handle())
    }

    fn begin(
        &mut self,
        epoch: i64,
        (relay, revision): (Box<Relay>, i64),
        beginning: Beginning,
        because: Span,
        ctx: &mut Context<Self>,
    ) {
        let relay_id = relay.durable().spec.relay_id;
        let channel_id = relay.durable().spec.channel_id;
        let waits = relay.durable().spec.egress_not_before.is_some();
        if self.children.contains_key(&relay_id) {
            return;
        }
        if epoch != self.shared.epoch() {
            // It was this process's, under a lease that is lost.
            self.shared.directory.remove(relay_id);
            return;
        }
        let mut child = Child {
            channel_id,
            epoch,
            generation: 0,
            actor: None,
            caller: Caller::new(self.shared.vendors.clone()),
            deaths: VecDeque::new(),
            restarts: 0,
            waiting: Vec::new(),
        };
        let parts = Start {
            relay,
            revision,
            beginning,
            last_error: None,
            because,
        };
        self.spawn(&mut child, parts, ctx);
        self.children.insert(relay_id, child);
        if waits {
            self.tell_if_down(channel_id);
        }
    }

    fn spawn(&mut self, child: &mut Child, start: Start, ctx: &mut Context<Self>) {
        let Start {
            relay,
            revision,
            beginning,
            last_error,
            because,
        } = start;
        let relay_id = relay.durable().spec.relay_id;
        let Some(arbiter) = self.arbiter(relay_id) else {
            return;
        };
        self.last_generation += 1;
        child.generation = self.last_generation;
        let (registry, generation) = (ctx.address(), child.generation);
        let failure_reason = FailureReason::default();
        // An actor that is started again keeps its relay's clock.
        let known = self.shared.directory.get(relay_id);
        let clock = known.map_or_else(|| Clock::of(relay.durable()), |known| known.clock);
        let parts = Parts {
            clock,
            shared: self.shared.clone(),
            relay,
            revision,
            epoch: child.epoch,
            restarts: child.restarts,
            caller: child.caller.clone(),
            failure_reason: failure_reason.clone(),
            last_error,
            beginning,
            because,
        };
        let actor = supervise::start(
            &arbiter,
            move || RelayActor::new(parts),
            failure_reason,
            move |cause| {
                registry.do_send(ChildExit {
                    relay_id,
                    generation,
                    cause,
                });
            },
        );
        for tell in child.waiting.drain(..) {
            actor.do_send(tell);
        }
        child.actor = Some(actor);
    }

    /// If nothing of the channel's relays before stands in the way, its newest one is told so.
    fn tell_if_down(&self, channel_id: i64) {
        if self.shared.store.is_shared() {
            return peer_messages::tell_if_down(&self.shared, channel_id);
        }
        let relays = self.shared.directory.of_channel(channel_id);
        let in_the_way = relays
            .iter()
            .any(|relay| !relay.durable.phase.holds_slot() && !relay.egress_is_down);
        if in_the_way {
            return;
        }
        for relay in relays {
            let child = self.children.get(&relay.durable.spec.relay_id);
            if let Some(actor) = child.and_then(|child| child.actor.as_ref()) {
                actor.do_send(Tell::from(Event::PredecessorDown));
            }
        }
    }

    /// Whether the relay has this actor, or had it last.
    fn is_at(&self, relay_id: Uuid, generation: u64) -> bool {
        self.children
            .get(&relay_id)
            .is_some_and(|child| child.generation == generation)
    }

    fn forget(&mut self, relay_id: Uuid) {
        self.shared.directory.remove(relay_id);
        let Some(child) = self.children.remove(&relay_id) else {
            return;
        };
        self.tell_if_down(child.channel_id);
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(4096);
        // A thread that is gone cannot tell that its actors are.
        ctx.run_interval(ROLL_CALL, |registry, ctx| {
            let gone = |child: &Child| child.actor.as_ref().is_some_and(|actor| !actor.connected());
            let gone: Vec<_> = registry
                .children
                .iter()
                .filter(|(_, child)| gone(child))
                .map(|(relay_id, child)| (*relay_id, child.generation))
                .collect();
            for (relay_id, generation) in gone {
                ctx.notify(ChildExit {
                    relay_id,
                    generation,
                    cause: ExitCause::Cancelled,
                });
            }
        });
    }
}

impl Handler<Begin> for Registry {
    type Result = ();

    fn handle(&mut self, begin: Begin, ctx: &mut Self::Context) {
        let Begin {
            relay,
            actions,
            revision,
            epoch,
            because,
        } = begin;
        let beginning = Beginning::Fresh(actions);
        let relay = (Box::new(relay), revision);
        self.begin(epoch, relay, beginning, because, ctx);
    }
}

impl Handler<Recover> for Registry {
    type Result = ();

    fn handle(&mut self, recover: Recover, ctx: &mut Self::Context) {
        let now = self.shared.clock.now();
        let mut relays = Vec::new();
        for recovered in recover.relays {
            if self.children.contains_key(&recovered.relay_id()) {
                continue;
            }
            match recovered {
                Recovered::Relay {
                    relay,
                    revision,
                    epoch,
                } => {
                    // Known before anybody outside is let in: a page the Directory does not know is told to leave, and a
                    // feed is a stray.
                    let snapshot = Snapshot::before_its_actor(&relay, now);
                    self.shared.directory.publish(snapshot);
                    relays.push((epoch, (relay, revision)));
                }
                Recovered::Unreadable { stored, reason } => {
                    self.end_by_force(*stored, reason, ctx);
                }
            }
        }
        for (epoch, relay) in relays {
            self.begin(epoch, relay, Beginning::Recovered, Span::none(), ctx);
        }
    }
}

impl Handler<TellRelay> for Registry {
    type Result = ();

    fn handle(&mut self, message: TellRelay, _: &mut Self::Context) {
        let Some(child) = self.children.get_mut(&message.relay_id) else {
            return;
        };
        match &child.actor {
            Some(actor) if actor.connected() => actor.do_send(message.tell),
            Some(_) | None => child.waiting.push(message.tell),
        }
    }
}

impl Handler<EgressDown> for Registry {
    type Result = ();

    fn handle(&mut self, message: EgressDown, _: &mut Self::Context) {
        self.tell_if_down(message.channel_id);
    }
}

impl Handler<ChildExit> for Registry {
    type Result = ();

    fn handle(&mut self, exit: ChildExit, ctx: &mut Self::Context) {
        if !self.is_at(exit.relay_id, exit.generation) {
            if !self.children.contains_key(&exit.relay_id) {
                // It may have published once more as it went.
                self.shared.directory.remove(exit.relay_id);
            }
            return;
        }
        match exit.cause {
            ExitCause::Finished => self.forget(exit.relay_id),
            ExitCause::Failed(reason) => self.restart(exit.relay_id, reason, ctx),
            ExitCause::Panicked(text) => {
                self.restart(exit.relay_id, format!("panicked: {text}"), ctx)
            }
            ExitCause::Cancelled => self.restart(exit.relay_id, "its thread has gone".into(), ctx),
        }
    }
}
