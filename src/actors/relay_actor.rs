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
use super::context::NodeContext;
#[cfg(feature = "sandbox")]
use super::crash::{self, CrashOperation, CrashPoint};
use super::directory::RelaySnapshot;
use super::messages::{Deliver, Mailboxes};
use super::pace;
use super::predecessor;
use super::records;
use super::relay_metrics;
use super::status::NodeStatus;
use super::supervise::FailureReason;
use crate::relay::{Action, Durable, Event, Jitter, Phase, Relay, Step};
use crate::store::{Save, Saved, StoreError, until_answered};

pub(super) enum StartMode {
    /// The first step is stored; these are its actions.
    Fresh(Vec<Action>),
    Recovered,
}

pub(super) struct RelayActor {
    pub(super) context: Arc<NodeContext>,
    pub(super) status: Arc<NodeStatus>,
    pub(super) mailboxes: Arc<Mailboxes>,
    pub(super) clock: Clock,
    pub(super) relay: Box<Relay>,
    pub(super) revision: i64,
    pub(super) epoch: i64,
    pub(super) restarts: u32,
    pub(super) calls: VendorCalls,
    pub(super) failure_reason: FailureReason,
    /// Why the previous actor died.
    pub(super) crash: Option<String>,
    /// Taken by the start.
    pub(super) mode: Option<StartMode>,
    pub(super) parent: Span,
    pub(super) last_event_at: DateTime<Utc>,
    pub(super) timer: Option<SpawnHandle>,
    pub(super) reported_down: bool,
}

/// Stops the actor without further writes.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

impl RelayActor {
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
            self.context.directory.poller_counts(&before.spec),
            self.status.fleet_size(),
            &self.context.vendors,
            &self.context.settings,
            &before.spec,
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
        let wall = self.context.clock.now();
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
        let (context, status) = (self.context.clone(), self.status.clone());
        let stored = async move {
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::Before(CrashOperation::Save));
            let saved = store(&context, &status, save).await;
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
        if step.cleanup_jobs().next().is_some() {
            self.mailboxes.new_cleanup_jobs.notify_one();
        }
        self.perform(step.actions, &parent, ctx);
        if let Some(stored) = stored {
            let _ = stored.send(self.relay.durable().clone());
        }
        if !self.reported_down && self.relay.egress_is_down() {
            self.reported_down = true;
            let channel_id = self.relay.durable().spec.channel_id;
            predecessor::notify_if_down(&self.context, &self.mailboxes, channel_id);
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
        self.context.directory.publish(RelaySnapshot {
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

#[derive(Debug)]
enum SaveError {
    Fenced,
    Refused(String),
}

/// Retries until the database answers: an outage ends no relay.
async fn store(context: &NodeContext, status: &NodeStatus, save: Save) -> Result<(), SaveError> {
    let saved = until_answered("save a relay", || async {
        let saved = context.store.save(save.clone()).await;
        if let Err(StoreError::Unavailable(_)) = saved {
            status.note_database(false);
        }
        saved
    });
    match saved.await {
        Ok(Saved::Saved) => {
            status.note_database(true);
            Ok(())
        }
        Ok(Saved::Fenced) => Err(SaveError::Fenced),
        Err(error) => Err(SaveError::Refused(error.to_string())),
    }
}

impl Actor for RelayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.mode.take() {
            Some(StartMode::Fresh(actions)) => {
                let parent = std::mem::replace(&mut self.parent, Span::none());
                let _in_span = self.span(&parent).entered();
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
