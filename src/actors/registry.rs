//! Supervises one actor per active relay, and restarts actors that die.

mod hand_over;
mod restart;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::dev::channel::{self, AddressReceiver};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use tracing::Span;
use uuid::Uuid;

use super::calls::VendorCalls;
use super::clock::Clock;
use super::context::NodeContext;
use super::directory::RelaySnapshot;
use super::messages::{Adopt, Deliver, DeliverTo, LoadedRelay, Mailboxes, Spawn};
use super::predecessor::notify_if_down;
use super::relay_actor::{RelayActor, StartMode};
use super::status::NodeStatus;
use super::supervise::{self, ExitCause, FailureReason};
use crate::config::RuntimeSettings;
use crate::relay::{PlatformName, Relay};

const CHECK_EVERY: Duration = Duration::from_secs(5);
const MAILBOX_CAPACITY: usize = 4096;

struct Child {
    channel_id: i64,
    epoch: i64,
    /// Tells this actor's exit from an earlier actor's.
    generation: u64,
    actor: Option<Addr<RelayActor>>,
    calls: VendorCalls,
    deaths: VecDeque<Instant>,
    restarts: u32,
    waiting: Vec<Deliver>,
}

struct SpawnArgs {
    relay: Box<Relay>,
    revision: i64,
    mode: StartMode,
    last_error: Option<String>,
    parent: Span,
}

pub(super) struct Registry {
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    arbiters: Vec<Arbiter>,
    children: HashMap<Uuid, Child>,
    last_generation: u64,
}

#[derive(Message)]
#[rtype(result = "()")]
struct ChildExit {
    relay_id: Uuid,
    generation: u64,
    cause: ExitCause,
}

impl Registry {
    /// Messages wait in the mailbox until the registry starts.
    pub(super) fn mailboxes() -> (Arc<Mailboxes>, AddressReceiver<Self>) {
        let (sender, receiver) = channel::channel(MAILBOX_CAPACITY);
        let address: Addr<Self> = Addr::new(sender);
        let mailboxes = Mailboxes {
            deliver: address.clone().into(),
            spawn: address.clone().into(),
            adopt: address.clone().into(),
            drop_all: address.clone().into(),
            hand_off: address.clone().into(),
            evict: address.clone().into(),
            list_relays: address.into(),
            new_cleanup_jobs: Arc::default(),
        };
        (Arc::new(mailboxes), receiver)
    }

    /// Needs an actix system.
    pub(super) fn start(
        receiver: AddressReceiver<Self>,
        context: Arc<NodeContext>,
        status: Arc<NodeStatus>,
        mailboxes: Arc<Mailboxes>,
    ) {
        let threads = RuntimeSettings::threads(context.settings.runtime.arbiters);
        let registry = Self {
            context,
            status,
            mailboxes,
            arbiters: (0..threads.max(1)).map(|_| Arbiter::new()).collect(),
            children: HashMap::new(),
            last_generation: 0,
        };
        actix_rt::spawn(Context::with_receiver(receiver).into_future(registry));
    }

    fn arbiter(&mut self, relay_id: Uuid) -> Option<ArbiterHandle> {
        let threads = u128::try_from(self.arbiters.len()).unwrap_or(1).max(1);
        let place = usize::try_from(relay_id.as_u128() % threads).unwrap_or(0);
        let arbiter = self.arbiters.get_mut(place)?;
        if !arbiter.alive() {
            tracing::error!("an actor thread died; starting another");
            *arbiter = Arbiter::new();
        }
        Some(arbiter.handle())
    }

    fn add(
        &mut self,
        epoch: i64,
        (relay, revision): (Box<Relay>, i64),
        mode: StartMode,
        parent: Span,
        ctx: &mut Context<Self>,
    ) {
        let relay_id = relay.durable().spec.relay_id;
        let channel_id = relay.durable().spec.channel_id;
        let platform = relay.durable().spec.platform.clone();
        let has_predecessor = relay.durable().spec.egress_not_before.is_some();
        if self.children.contains_key(&relay_id) {
            return;
        }
        if epoch != self.status.epoch() {
            // Stored under a lease that is lost by now.
            self.context.directory.remove(relay_id);
            return;
        }
        let mut child = Child {
            channel_id,
            epoch,
            generation: 0,
            actor: None,
            calls: self.calls(platform),
            deaths: VecDeque::new(),
            restarts: 0,
            waiting: Vec::new(),
        };
        let args = SpawnArgs {
            relay,
            revision,
            mode,
            last_error: None,
            parent,
        };
        self.spawn(&mut child, args, ctx);
        self.children.insert(relay_id, child);
        if has_predecessor {
            notify_if_down(&self.context, &self.mailboxes, channel_id);
        }
    }

    fn calls(&self, platform: PlatformName) -> VendorCalls {
        let (vendors, store) = (self.context.vendors.clone(), self.context.store.clone());
        VendorCalls::new(vendors, store, platform)
    }

    fn spawn(&mut self, child: &mut Child, args: SpawnArgs, ctx: &mut Context<Self>) {
        let SpawnArgs {
            relay,
            revision,
            mode,
            last_error,
            parent,
        } = args;
        let relay_id = relay.durable().spec.relay_id;
        let Some(arbiter) = self.arbiter(relay_id) else {
            return;
        };
        self.last_generation += 1;
        child.generation = self.last_generation;
        let (registry, generation) = (ctx.address(), child.generation);
        let failure_reason = FailureReason::default();
        // A restarted actor keeps its relay's clock.
        let known = self.context.directory.get(relay_id);
        let clock = known.map_or_else(|| Clock::of(relay.durable()), |known| known.clock);
        let actor = RelayActor {
            context: self.context.clone(),
            status: self.status.clone(),
            mailboxes: self.mailboxes.clone(),
            clock,
            relay,
            revision,
            epoch: child.epoch,
            restarts: child.restarts,
            calls: child.calls.clone(),
            failure_reason: failure_reason.clone(),
            crash: last_error,
            mode: Some(mode),
            parent,
            last_event_at: clock.now(),
            timer: None,
            reported_down: false,
        };
        let actor = supervise::start(&arbiter, actor, failure_reason, move |cause| {
            registry.do_send(ChildExit {
                relay_id,
                generation,
                cause,
            });
        });
        for message in child.waiting.drain(..) {
            actor.do_send(message);
        }
        child.actor = Some(actor);
    }

    fn is_latest(&self, relay_id: Uuid, generation: u64) -> bool {
        self.children
            .get(&relay_id)
            .is_some_and(|child| child.generation == generation)
    }

    fn forget(&mut self, relay_id: Uuid) {
        self.context.directory.remove(relay_id);
        let Some(child) = self.children.remove(&relay_id) else {
            return;
        };
        notify_if_down(&self.context, &self.mailboxes, child.channel_id);
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A dead thread cannot report the exit of its actors.
        ctx.run_interval(CHECK_EVERY, |registry, ctx| {
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

impl Handler<Spawn> for Registry {
    type Result = ();

    fn handle(&mut self, message: Spawn, ctx: &mut Self::Context) {
        let Spawn {
            relay,
            actions,
            revision,
            epoch,
            parent,
        } = message;
        let mode = StartMode::Fresh(actions);
        let relay = (Box::new(relay), revision);
        self.add(epoch, relay, mode, parent, ctx);
    }
}

impl Handler<Adopt> for Registry {
    type Result = ();

    fn handle(&mut self, message: Adopt, ctx: &mut Self::Context) {
        let now = self.context.clock.now();
        let mut relays = Vec::new();
        for loaded in message.relays {
            if self.children.contains_key(&loaded.relay_id()) {
                continue;
            }
            match loaded {
                LoadedRelay::Relay {
                    relay,
                    revision,
                    epoch,
                } => {
                    // Published before requests are served: else a page would be sent away, and a feed taken for a stray.
                    let snapshot = RelaySnapshot::before_its_actor(&relay, now);
                    self.context.directory.publish(snapshot);
                    relays.push((epoch, (relay, revision)));
                }
                LoadedRelay::Unreadable { stored, reason } => {
                    self.end_by_force(*stored, reason, ctx);
                }
            }
        }
        for (epoch, relay) in relays {
            self.add(epoch, relay, StartMode::Recovered, Span::none(), ctx);
        }
    }
}

impl Handler<DeliverTo> for Registry {
    type Result = ();

    fn handle(&mut self, message: DeliverTo, _: &mut Self::Context) {
        let Some(child) = self.children.get_mut(&message.relay_id) else {
            return;
        };
        match &child.actor {
            Some(actor) if actor.connected() => actor.do_send(message.message),
            Some(_) | None => child.waiting.push(message.message),
        }
    }
}

impl Handler<ChildExit> for Registry {
    type Result = ();

    fn handle(&mut self, exit: ChildExit, ctx: &mut Self::Context) {
        if !self.is_latest(exit.relay_id, exit.generation) {
            if !self.children.contains_key(&exit.relay_id) {
                // The actor may have published once more while it stopped.
                self.context.directory.remove(exit.relay_id);
            }
            return;
        }
        match exit.cause {
            ExitCause::Finished => self.forget(exit.relay_id),
            ExitCause::Failed(reason) => self.restart(exit.relay_id, reason, ctx),
            ExitCause::Panicked(text) => {
                self.restart(exit.relay_id, format!("panicked: {text}"), ctx)
            }
            ExitCause::Cancelled => self.restart(exit.relay_id, "its thread died".into(), ctx),
        }
    }
}
