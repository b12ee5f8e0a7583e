//! The actor of one relay.

use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::calls::VendorCalls;
use super::clock::Clock;
#[cfg(feature = "sandbox")]
use super::crash::{self, CrashOperation, CrashPoint};
use super::directory::RelaySnapshot;
use super::pace;
use super::records;
use super::registry::EgressDown;
use super::relay_metrics;
use super::shared::{SaveError, Shared};
use super::supervise::FailureReason;
use crate::relay::{Action, Durable, Event, Jitter, Phase, Relay, Step};

pub(super) enum StartMode {
    /// The first step is stored; these are its actions.
    Fresh(Vec<Action>),
    Recovered,
}

pub(super) struct ActorArgs {
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) relay: Box<Relay>,
    pub(super) revision: i64,
    pub(super) epoch: i64,
    pub(super) restarts: u32,
    pub(super) calls: VendorCalls,
    pub(super) failure_reason: FailureReason,
    pub(super) last_error: Option<String>,
    pub(super) mode: StartMode,
    pub(super) parent: Span,
}

pub(super) struct RelayActor {
    clock: Clock,
    shared: Arc<Shared>,
    relay: Box<Relay>,
    revision: i64,
    epoch: i64,
    restarts: u32,
    calls: VendorCalls,
    failure_reason: FailureReason,
    crash: Option<String>,
    last_event_at: DateTime<Utc>,
    mode: Option<StartMode>,
    parent: Span,
    timer: Option<SpawnHandle>,
    reported_down: bool,
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

/// Stops the actor without further writes.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

impl RelayActor {
    pub(super) fn new(args: ActorArgs) -> Self {
        let ActorArgs {
            clock,
            shared,
            relay,
            revision,
            epoch,
            restarts,
            calls,
            failure_reason,
            last_error,
            mode,
            parent,
        } = args;
        let last_event_at = clock.now();
        Self {
            clock,
            shared,
            relay,
            revision,
            epoch,
            restarts,
            calls,
            failure_reason,
            crash: last_error,
            last_event_at,
            mode: Some(mode),
            parent,
            timer: None,
            reported_down: false,
        }
    }

    /// At ERROR, so that no log filter drops the relay's id.
    fn span(&self, parent: &Span) -> Span {
        let spec = &self.relay.durable().spec;
        tracing::error_span!(parent: parent.id(), "relay", relay_id = %spec.relay_id, channel_id = spec.channel_id)
    }

    /// No other event is handled until the change is stored.
    fn handle_event(&mut self, message: Deliver, ctx: &mut Context<Self>) {
        #[cfg(feature = "sandbox")]
        super::sabotage::before_event(&self.relay.durable().spec, &message.event);
        if self.calls.is_closed() {
            return ctx.notify(Stop);
        }
        let Deliver {
            event,
            stored: reply,
            parent,
        } = message;
        let span = self.span(&parent);
        let _in_span = span.clone().entered();
        let now = self.clock.now();
        self.last_event_at = now;
        let before = self.relay.durable().clone();
        let pace = pace::pace(
            self.shared.directory.poller_counts(),
            self.shared.fleet.size(),
            &self.shared.vendors,
            &self.shared.settings,
            &before.spec.backend,
        );
        self.relay.set_pace(pace);
        let step = match self.relay.handle(event, now) {
            Ok(step) => step,
            Err(error) => return self.fail(error.to_string(), ctx),
        };
        if let Some(reason) = step.ignored {
            tracing::debug!(%reason, "ignored");
            relay_metrics::event_ignored(reason);
        }
        if !step.must_be_stored() {
            return self.act(step, reply, parent, ctx);
        }
        let wall = self.shared.clock.now();
        let durable = self.relay.durable();
        if durable.phase != before.phase {
            tracing::info!(
                from = %before.phase,
                to = %durable.phase,
                outcome = durable.outcome.as_ref().map(|outcome| tracing::field::display(outcome.code)),
                "phase"
            );
        }
        let save = records::save(durable, &step, now, wall, self.revision, self.epoch);
        self.revision += i64::try_from(step.facts.len()).unwrap_or(i64::MAX);
        let shared = self.shared.clone();
        let stored = async move {
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::Before(CrashOperation::Save));
            let saved = shared.save(save).await;
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::After(CrashOperation::Save));
            saved
        };
        ctx.wait(
            stored
                .instrument(span.clone())
                .into_actor(self)
                .map(move |saved, actor, ctx| {
                    span.in_scope(|| match saved {
                        Ok(()) if actor.calls.is_closed() => ctx.notify(Stop),
                        Ok(()) => {
                            relay_metrics::step_stored(&before, &step, now);
                            actor.act(step, reply, parent, ctx);
                        }
                        Err(SaveError::Fenced) => ctx.notify(Stop),
                        Err(SaveError::Refused(reason)) => actor.fail(reason, ctx),
                    })
                }),
        );
    }

    fn act(
        &mut self,
        step: Step,
        stored: Option<oneshot::Sender<Arc<Durable>>>,
        parent: Span,
        ctx: &mut Context<Self>,
    ) {
        #[cfg(feature = "sandbox")]
        if step.must_be_stored() {
            super::sabotage::trigger(
                &self.relay.durable().spec,
                super::sabotage::SabotageMoment::Acting,
            );
        }
        let over = self.relay.durable().phase == Phase::Ended;
        self.publish();
        if !step.cleanup_jobs().count().eq(&0) {
            self.shared.cleanup_changed();
        }
        self.perform(step.actions, &parent, ctx);
        if let Some(stored) = stored {
            let _ = stored.send(self.relay.durable().clone());
        }
        if !self.reported_down && self.relay.egress_is_down() {
            self.reported_down = true;
            self.shared.send_to_registry(EgressDown {
                channel_id: self.relay.durable().spec.channel_id,
            });
        }
        if over {
            ctx.notify(Stop);
        } else {
            self.arm(ctx);
        }
    }

    fn perform(&self, actions: Vec<Action>, parent: &Span, ctx: &mut Context<Self>) {
        for action in actions {
            let (address, parent) = (ctx.address(), parent.clone());
            self.calls
                .call(self.relay.durable().clone(), action.call, move |result| {
                    let jitter = Jitter::new(rand::random());
                    let event = match result {
                        Ok(answer) => Event::Answered {
                            action: action.id,
                            answer,
                            jitter,
                        },
                        Err(failure) => Event::Failed {
                            action: action.id,
                            failure,
                            jitter,
                        },
                    };
                    address.do_send(Deliver {
                        event,
                        stored: None,
                        parent,
                    });
                });
        }
    }

    fn publish(&self) {
        let now = self.clock.now();
        self.shared.directory.publish(RelaySnapshot {
            clock: self.clock,
            durable: self.relay.durable().clone(),
            presence: self.relay.presence(now),
            page_is_fresh: self.relay.page_is_fresh(now),
            last_event_at: self.last_event_at,
            next_wake_at: self.relay.wake_at(now),
            last_error: match self.relay.last_failure() {
                Some(failure) => Some(failure.message.clone()),
                None => self.crash.clone(),
            },
            restarts: self.restarts,
            egress_is_down: self.relay.egress_is_down(),
        });
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let now = self.clock.now();
        if let Some(at) = self.relay.wake_at(now) {
            let wait = (at - now).to_std().unwrap_or_default();
            // The clock counts milliseconds: one more, so that the timer never fires early.
            let wait = wait + std::time::Duration::from_millis(1);
            self.timer = Some(ctx.notify_later(Deliver::from(Event::Tick), wait));
        }
    }

    fn fail(&mut self, reason: String, ctx: &mut Context<Self>) {
        self.failure_reason.set(reason);
        ctx.notify(Stop);
    }
}

impl Actor for RelayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.mode.take() {
            Some(StartMode::Fresh(actions)) => {
                let parent = std::mem::replace(&mut self.parent, Span::none());
                let _in_span = self.span(&parent).entered();
                self.publish();
                self.perform(actions, &parent, ctx);
                self.arm(ctx);
            }
            Some(StartMode::Recovered) | None => {
                // Before any other event: in-flight calls of the previous process are in doubt.
                let jitter = Jitter::new(rand::random());
                self.handle_event(Deliver::from(Event::Recovered { jitter }), ctx);
            }
        }
    }
}

impl Handler<Deliver> for RelayActor {
    type Result = ();

    fn handle(&mut self, message: Deliver, ctx: &mut Self::Context) {
        self.handle_event(message, ctx);
    }
}

impl Handler<Stop> for RelayActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        actix::ActorContext::stop(ctx);
    }
}
