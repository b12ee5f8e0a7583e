//! The life cycle of a relay, as a pure state machine: no clock, no network, no database, no secrets.
//!
//! [`Relay::handle`] takes an [`Event`] and returns a [`Step`]: facts to store first, then [`Action`]s to carry out,
//! whose results come back as events. The [`Durable`] state is the sum of the facts. Readings are volatile: a poll that
//! changes nothing durable writes nothing.
//!
//! A failed call may still have been carried out: it is *in doubt* until a repeat is answered. Every call that must not
//! happen twice can be repeated: it bears the same key, the same resource and body, or the same name. A creation that
//! the platform would carry out twice is looked up by its tag instead. What a platform promises is asked of
//! [`Capabilities`], never of its name.

mod action;
mod announcement;
mod answers;
mod attribution;
mod capabilities;
mod cleanup_job;
mod cost;
mod deadlines;
mod describe;
mod egress;
mod event;
mod fact;
mod failure;
mod millis;
mod notice;
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

pub use action::{Action, ActionId, Call};
pub use announcement::Announcement;
pub use attribution::{IngestUse, user_of};
pub use capabilities::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, Latency, LowLatency, PlatformName,
    Reconnect, RecordingsKept,
};
pub use cleanup_job::{Cleanup, CleanupJob, CleanupKind};
pub use cost::{Cost, Prices, Source};
pub use egress::{
    Backend, BackendName, EgressCapabilities, EgressHandle, EgressRef, EgressSpec, Preparation,
    Prepare,
};
pub use event::{
    Answer, EgressReading, Event, FeedReading, FeedSession, Hint, PageReport, PageTrouble,
};
pub use fact::Fact;
pub use failure::{Backoff, Class, Failure, Jitter};
pub use notice::{Notice, Subject};
pub use outcome::{Detail, Outcome, OutcomeCode, RelayStatus};
pub use phase::{IllegalTransition, Move, Phase, TRANSITIONS};
pub use presence::Presence;
pub use spec::{IngestOwner, Spec, Timing};
pub use state::{
    Durable, Egress, EgressStage, Ingest, IngestStage, KeptIngest, Recording, RecordingPlace,
    RecordingState,
};
pub use step::{Ignored, Step};
pub use tag::{InvalidTag, Namespace, ResourceTag};
pub use volatile::{Intervals, Pace};

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use strum::IntoEnumIterator;

use presence::PresenceReports;
use volatile::{Lane, Volatile};

/// A wake-up later than this means that the process, the machine or the clock stood still.
const LATE_WAKE: TimeDelta = TimeDelta::seconds(30);
/// How long deadlines wait for a poll after a recovery or a late wake-up.
const DEADLINE_HOLD: TimeDelta = TimeDelta::seconds(15);

/// A relay's durable and volatile state.
#[derive(Debug, Clone)]
pub struct Relay {
    durable: Arc<Durable>,
    volatile: Volatile,
}

impl Relay {
    /// Creates a relay. Its first step stores the request.
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

    /// Loads a relay. It does nothing until it gets [`Event::Recovered`].
    #[must_use]
    pub fn load(durable: impl Into<Arc<Durable>>, incarnation: u32) -> Self {
        let durable = durable.into();
        let timing = &durable.spec.timing;
        let longest = timing.live_check_interval.max(timing.poll_interval);
        let mut volatile = Volatile {
            incarnation,
            ..Volatile::default()
        };
        volatile.seller.reports = PresenceReports::new(longest);
        Self { durable, volatile }
    }

    /// The durable state.
    #[must_use]
    pub fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// Whether the seller is in the channel.
    #[must_use]
    pub fn presence(&self, now: DateTime<Utc>) -> Presence {
        self.volatile.seller.reports.now(now)
    }

    /// Whether the recorder page's last report is still valid.
    #[must_use]
    pub fn page_is_fresh(&self, now: DateTime<Utc>) -> bool {
        let until = self.volatile.seller.reports.page_valid_until();
        until.is_some_and(|until| now < until)
    }

    /// The last failure of a call.
    #[must_use]
    pub fn last_failure(&self) -> Option<&Failure> {
        self.volatile.last_failure.as_ref()
    }

    /// Whether the channel's next relay may start its egress.
    #[must_use]
    pub fn egress_is_down(&self) -> bool {
        let egress = self.durable.egress.as_ref();
        !self.durable.phase.holds_slot()
            && egress.is_none_or(|egress| egress.stage == EgressStage::Settled)
            && !self.durable.holds_kept_ingest()
            && self.volatile.egress.in_flight.is_none()
    }

    /// Handles an event. The step's facts must be stored before its actions are carried out.
    ///
    /// # Errors
    /// [`IllegalTransition`] means a bug in the core: no input can cause it.
    pub fn handle(&mut self, event: Event, now: DateTime<Utc>) -> Result<Step, IllegalTransition> {
        let mut step = Step::default();
        self.hold_after_late_wake(now);
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
            Event::PredecessorDown => {
                self.volatile.predecessor_down = true;
                if self.durable.ingest.stage == IngestStage::Unrequested {
                    self.volatile.ingest.due = None;
                }
            }
            Event::Page { attempt, report } => self.page(&mut step, attempt, report, now)?,
            Event::Hint(hint) => self.hint(&mut step, hint, now)?,
            Event::LateRecordings(recordings) => {
                self.late_recordings(&mut step, recordings, now)?
            }
        }
        self.plan(&mut step, now)?;
        Ok(step)
    }

    /// When [`Event::Tick`] is needed. `None`: only an answer moves the relay on.
    #[must_use]
    pub fn wake_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let polls = Lane::iter()
            .filter_map(|lane| self.next_call(lane, now))
            .map(|next_call| next_call.due);
        let deadline = self
            .deadline()
            .map(|(at, _)| self.volatile.hold_until.map_or(at, |hold| at.max(hold)));
        polls.chain(deadline).min()
    }

    fn record(
        &mut self,
        step: &mut Step,
        fact: Fact,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if let Some(announcement) = Arc::make_mut(&mut self.durable).apply(&fact, now)? {
            step.announcements
                .push((self.durable.announced, announcement));
        }
        step.facts.push(fact);
        Ok(())
    }

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
        self.volatile.ingest.reset();
        self.volatile.egress.reset();
        self.volatile.last_poll_until = None;
        Ok(())
    }

    /// Whether no vendor was asked to create anything. A call in flight may have reached one.
    fn is_untried(&self) -> bool {
        let volatile = &self.volatile;
        self.durable.phase == Phase::Provisioning
            && !volatile.reached_vendor
            && volatile.ingest.in_flight.is_none()
            && volatile.egress.in_flight.is_none()
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

    /// Calls in flight are lost: open intents are in doubt, and deadlines wait for a poll.
    fn recovered(&mut self, jitter: Jitter, now: DateTime<Utc>) {
        let volatile = &mut self.volatile;
        volatile.ingest_in_doubt = self.durable.ingest.stage == IngestStage::Requested;
        volatile.egress_in_doubt = self
            .durable
            .open_egress()
            .is_some_and(|egress| egress.stage == EgressStage::Starting);
        volatile.prepared_early = false;
        volatile.reached_vendor = true;
        volatile.hold_until = Some(now + DEADLINE_HOLD);
        volatile.jitter = jitter;
        self.spread_recovered(now);
    }

    /// After a late wake-up the last readings are too old to decide on.
    fn hold_after_late_wake(&mut self, now: DateTime<Utc>) {
        let late = self.wake_at(now).is_some_and(|at| now - at > LATE_WAKE);
        if late && self.volatile.hold_until.is_none() {
            self.volatile.hold_until = Some(now + DEADLINE_HOLD);
            self.volatile.feed_poll.bring_forward(now);
            self.volatile.hosts_poll.bring_forward(now);
        }
    }

    /// Repeats until no fact is added: each may change what is due.
    fn plan(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        loop {
            let facts = step.facts.len();
            self.act_on_deadlines(step, now)?;
            self.settle(step, now)?;
            for lane in Lane::iter() {
                if let Some(next_call) = self
                    .next_call(lane, now)
                    .filter(|next_call| next_call.due <= now)
                {
                    self.issue(step, lane, next_call.call, now)?;
                }
            }
            if step.facts.len() == facts {
                return Ok(());
            }
        }
    }

    fn issue(
        &mut self,
        step: &mut Step,
        lane: Lane,
        call: Call,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match &call {
            Call::CreateIngest { attempt }
                if self.durable.ingest.stage == IngestStage::Unrequested =>
            {
                self.record(step, Fact::IngestRequested { attempt: *attempt }, now)?;
            }
            Call::StartEgress { attempt, .. } if self.durable.open_egress().is_none() => {
                let attempt = *attempt;
                let preparation = self.volatile.prepared.take();
                self.record(
                    step,
                    Fact::EgressStarting {
                        attempt,
                        preparation,
                    },
                    now,
                )?;
            }
            Call::RenewIngestKey { .. } if !self.durable.ingest.key_stale => {
                self.record(step, Fact::KeyRenewing, now)?;
            }
            Call::PrepareEgress { .. } => {
                self.volatile.prepared = None;
                self.volatile.prepared_early = self.durable.ingest.stage != IngestStage::Ready;
            }
            Call::UpdateEgress { .. } => {
                self.volatile.update_wanted = false;
                self.volatile.updates += 1;
            }
            Call::PollFeed { .. } => {
                self.volatile.feed_poll.due = Some(now + self.feed_interval(now))
            }
            Call::PollHosts => self.volatile.hosts_poll.due = Some(now + self.hosts_interval()),
            Call::PollEgress(_) => {
                self.volatile.egress_poll.due = Some(now + self.next_egress_interval())
            }
            Call::PollRecordings { .. } => {
                self.volatile.recordings_poll.due =
                    Some(now + self.durable.spec.timing.recordings_interval);
            }
            Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::StartEgress { .. }
            | Call::RenewIngestKey { .. }
            | Call::ClaimIngest
            | Call::EndBroadcast { .. }
            | Call::StopEgress(_)
            | Call::CloseIngest { .. }
            | Call::RemoveIngest { .. } => {}
        }
        self.volatile.last_number += 1;
        let id = ActionId {
            incarnation: self.volatile.incarnation,
            number: self.volatile.last_number,
        };
        self.volatile.lane_mut(lane).in_flight = Some((id, call.clone()));
        step.actions.push(Action { id, call });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
