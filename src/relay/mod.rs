//! The life of a relay, as a pure state machine: no clock, no network, no database, no secrets.
//!
//! A reader learns the product from here. [`Phase`] and [`TRANSITIONS`] say where a relay can be and what moves it;
//! [`Durable`] is what is known of it for good, the sum of the [`Fact`]s of its journal; [`Event`]s come in, and each
//! gives a [`Step`]: facts to store first, then [`Action`]s to carry out, whose results are events again.
//!
//! What is to be done is not remembered but seen from the state (the module `next_call`): a first try, a retry and a recovery after a crash
//! follow the same rules. What is in flight or was only read is volatile: a reading that changes nothing for good is
//! neither saved nor journaled, so polls write nothing.
//!
//! The unknown is looked at before it is repeated. A call that may have been carried out although it failed leaves its
//! intent open; only a poll settles it, and each call that must not happen twice is its own look: the same
//! idempotency key, the same resource and body, the same name.

mod action;
mod answers;
mod cleanup_job;
mod cost;
mod deadlines;
mod event;
mod fact;
mod failure;
mod outcome;
mod pace;
mod phase;
mod planner;
mod presence;
mod settling;
mod spec;
mod state;
mod step;
mod tag;
mod volatile;
mod watch;
mod words;

pub use action::{Action, ActionId, Call, CloudTask, EgressRef};
pub use cleanup_job::{Cleanup, CleanupJob};
pub use cost::{Cost, Prices, Source};
pub use event::{Answer, EgressReading, Event, FeedReading, Hint, PageReport, PageTrouble};
pub use fact::{Announcement, Fact};
pub use failure::{Backoff, Class, Failure, Jitter};
pub use outcome::{Detail, Outcome, OutcomeCode, RelayStatus};
pub use phase::{IllegalTransition, Move, Phase, TRANSITIONS};
pub use presence::Presence;
pub use spec::{Backend, Spec, Timing};
pub use state::{Durable, Egress, EgressStage, Ingest, IngestStage, Recording, RecordingState};
pub use step::{Ignored, Step};
pub use tag::{InvalidTag, Owner, ResourceTag};
pub use volatile::{Intervals, Pace};

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use strum::IntoEnumIterator;

use presence::PresenceBook;
use volatile::{Kind, Volatile};

/// A wake later than this is not trusted: the process, the machine or the clock stood still.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// After a recovery or a late wake, deadlines wait so long for one poll to be answered.
const HOLD: TimeDelta = TimeDelta::seconds(15);

/// One relay: what is known of it for good, and what is only known now.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Shared with whoever was given it: what changes it leaves theirs as it is.
    durable: Arc<Durable>,
    volatile: Volatile,
}

impl Relay {
    /// A relay that was just asked for. Its first step stores the request and acts on it.
    ///
    /// # Errors
    /// Never for a sound core: see [`Relay::handle`].
    pub fn request(spec: Spec, incarnation: u32) -> Result<(Self, Step), IllegalTransition> {
        let now = spec.requested_at;
        let mut relay = Self::load(Durable::new(spec), incarnation);
        let mut step = Step {
            facts: vec![Fact::Requested {
                spec: Box::new(relay.durable.spec.clone()),
            }],
            announcements: vec![(1, Announcement::Starting)],
            ..Step::default()
        };
        relay.plan(&mut step, now)?;
        Ok((relay, step))
    }

    /// A relay from its stored state. It does nothing before it is told [`Event::Recovered`].
    #[must_use]
    pub fn load(durable: impl Into<Arc<Durable>>, incarnation: u32) -> Self {
        let durable = durable.into();
        let timing = &durable.spec.timing;
        let longest = timing.live_check_interval.max(timing.poll_interval);
        let mut volatile = Volatile {
            incarnation,
            ..Volatile::default()
        };
        volatile.seller.book = PresenceBook::new(longest);
        Self { durable, volatile }
    }

    /// What is known of it for good.
    #[must_use]
    pub fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// What is known of the seller.
    #[must_use]
    pub fn presence(&self, now: DateTime<Utc>) -> Presence {
        self.volatile.seller.book.now(now)
    }

    /// Whether the recorder's page tells of the seller now.
    #[must_use]
    pub fn page_speaks(&self, now: DateTime<Utc>) -> bool {
        let until = self.volatile.seller.book.page_holds_until();
        until.is_some_and(|until| now < until)
    }

    /// The last failure of one of its calls.
    #[must_use]
    pub fn last_failure(&self) -> Option<&Failure> {
        self.volatile.last_failure.as_ref()
    }

    /// Whether the egress is known to be down, so that the channel's next relay may start its own.
    #[must_use]
    pub fn egress_is_down(&self) -> bool {
        let egress = self.durable.egress.as_ref();
        !self.durable.phase.holds_slot()
            && egress.is_none_or(|egress| egress.stage == EgressStage::Settled)
            && self.volatile.egress.flight.is_none()
    }

    /// Takes an event in. Facts of the step are to be stored before its actions are carried out.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the core itself is at fault: no event of the outside can cause it.
    pub fn handle(&mut self, event: Event, now: DateTime<Utc>) -> Result<Step, IllegalTransition> {
        let mut step = Step::default();
        self.distrust_a_late_wake(now);
        match event {
            Event::Tick => {}
            Event::Recovered { jitter } => self.recovered(jitter, now),
            Event::Answered {
                action,
                answer,
                jitter,
            } => self.answered(&mut step, action, answer, jitter, now)?,
            Event::Failed {
                action,
                failure,
                jitter,
            } => self.failed(&mut step, action, failure, jitter, now)?,
            Event::Stop => self.stop(&mut step, now)?,
            Event::PredecessorDown => self.volatile.predecessor_down = true,
            Event::Page { attempt, report } => self.page(&mut step, attempt, report, now)?,
            Event::Hint(hint) => self.hint(&mut step, hint, now)?,
            Event::LateRecordings(recordings) => {
                self.late_recordings(&mut step, recordings, now)?
            }
        }
        self.plan(&mut step, now)?;
        Ok(step)
    }

    /// When it wants to hear [`Event::Tick`] at the latest; none: only an answer moves it on.
    #[must_use]
    pub fn wake_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let polls = Kind::iter()
            .filter_map(|kind| self.next_call(kind, now))
            .map(|next_call| next_call.due);
        let deadline = self
            .deadline()
            .map(|(at, _)| self.volatile.hold_until.map_or(at, |hold| at.max(hold)));
        polls.chain(deadline).min()
    }

    /// Adds a fact to the state and to the step.
    fn record(
        &mut self,
        step: &mut Step,
        fact: Fact,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if let Some(told) = Arc::make_mut(&mut self.durable).apply(&fact, now)? {
            step.announcements.push((self.durable.announced, told));
        }
        step.facts.push(fact);
        Ok(())
    }

    /// Decides how it ends.
    fn end(
        &mut self,
        step: &mut Step,
        mut outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        outcome.detail.untried = !outcome.code.ended_well() && self.is_untried();
        self.record(
            step,
            Fact::Ending {
                outcome: Box::new(outcome),
            },
            now,
        )?;
        self.volatile.input.rest();
        self.volatile.egress.rest();
        self.volatile.last_poll_until = None;
        Ok(())
    }

    /// Whether no vendor was asked to make anything. A call in flight may have reached its vendor.
    fn is_untried(&self) -> bool {
        let volatile = &self.volatile;
        self.durable.phase == Phase::Provisioning
            && !volatile.called
            && volatile.input.flight.is_none()
            && volatile.egress.flight.is_none()
    }

    fn stop(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        if !self.durable.phase.holds_slot() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        let was_live = self.durable.live_at.is_some();
        let code = if was_live {
            OutcomeCode::StoppedByRequest
        } else {
            OutcomeCode::Cancelled
        };
        self.end(step, Outcome::plain(code), now)
    }

    /// What was in flight is lost, and with it every answer: open intents are in doubt, and nothing is decided unseen.
    fn recovered(&mut self, jitter: Jitter, now: DateTime<Utc>) {
        let volatile = &mut self.volatile;
        volatile.input_doubt = self.durable.ingest.stage == IngestStage::Requested;
        volatile.egress_doubt = self
            .durable
            .open_egress()
            .is_some_and(|egress| egress.stage == EgressStage::Starting);
        volatile.acquired_early = false;
        volatile.called = true;
        volatile.hold_until = Some(now + HOLD);
        volatile.jitter = jitter;
        self.space_out_recovered(now);
    }

    /// A wake far too late says that time passed without our seeing what happened in it.
    fn distrust_a_late_wake(&mut self, now: DateTime<Utc>) {
        let late = self.wake_at(now).is_some_and(|at| now - at > LATE);
        if late && self.volatile.hold_until.is_none() {
            self.volatile.hold_until = Some(now + HOLD);
            self.volatile.feed.hasten(now);
            self.volatile.hosts.hasten(now);
        }
    }

    /// Settles what needs no answer, acts on deadlines, and asks for the calls that are due.
    fn plan(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        loop {
            let facts = step.facts.len();
            self.act_on_deadlines(step, now)?;
            self.settle(step, now)?;
            for kind in Kind::iter() {
                if let Some(next_call) = self
                    .next_call(kind, now)
                    .filter(|next_call| next_call.due <= now)
                {
                    self.ask(step, kind, next_call.call, now)?;
                }
            }
            if step.facts.len() == facts {
                return Ok(());
            }
        }
    }

    /// Asks for a call; the intent of one that must not happen twice is recorded with it.
    fn ask(
        &mut self,
        step: &mut Step,
        kind: Kind,
        call: Call,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match &call {
            Call::CreateIngest { attempt }
                if self.durable.ingest.stage == IngestStage::Unrequested =>
            {
                self.record(step, Fact::IngestRequested { attempt: *attempt }, now)?;
            }
            Call::StartEgress {
                attempt,
                resource_id,
                ..
            } if self.durable.open_egress().is_none() => {
                let (attempt, resource_id) = (*attempt, Some(resource_id.clone()));
                let acquired_at = self.volatile.acquired.take().map(|(_, at)| at);
                self.record(
                    step,
                    Fact::EgressStarting {
                        attempt,
                        resource_id,
                        acquired_at,
                    },
                    now,
                )?;
            }
            Call::CreateConverter { attempt, .. } if self.durable.open_egress().is_none() => {
                let attempt = *attempt;
                self.record(
                    step,
                    Fact::EgressStarting {
                        attempt,
                        resource_id: None,
                        acquired_at: None,
                    },
                    now,
                )?;
            }
            Call::Acquire { .. } => {
                self.volatile.acquired = None;
                self.volatile.acquired_early = self.durable.ingest.stage != IngestStage::Ready;
            }
            Call::UpdateEgress { .. } => {
                self.volatile.update_wanted = false;
                self.volatile.updates += 1;
            }
            Call::PollFeed { .. } => self.volatile.feed.due = Some(now + self.feed_interval(now)),
            Call::PollHosts => self.volatile.hosts.due = Some(now + self.hosts_interval()),
            Call::PollEgress(_) => self.volatile.health.due = Some(now + self.next_egress_poll()),
            Call::PollRecordings { .. } => {
                self.volatile.recordings.due =
                    Some(now + self.durable.spec.timing.recordings_interval);
            }
            Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::StartEgress { .. }
            | Call::CreateConverter { .. }
            | Call::RotateKeys { .. }
            | Call::StopEgress(_)
            | Call::DisableIngest { .. }
            | Call::DeleteIngest { .. } => {}
        }
        self.volatile.numbers += 1;
        let id = ActionId {
            incarnation: self.volatile.incarnation,
            number: self.volatile.numbers,
        };
        self.volatile.slot(kind).flight = Some((id, call.clone()));
        step.actions.push(Action { id, call });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
