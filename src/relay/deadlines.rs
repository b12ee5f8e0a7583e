//! What happens when a phase's deadline passes.

use chrono::{DateTime, TimeDelta, Utc};

use super::cleanup_job::Cleanup;
use super::event::EgressReading;
use super::fact::Fact;
use super::failure::Class;
use super::outcome::{Detail, Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::state::{EgressStage, RecordingState};
use super::step::Step;
use super::{Presence, Relay};

/// After `stopping` took this long, what is still open becomes a cleanup job.
const STOPPING_PATIENCE: TimeDelta = TimeDelta::seconds(30);
/// How long the last poll before `live_timeout` may take.
const LAST_POLL: TimeDelta = TimeDelta::seconds(5);
pub(super) const MAX_REPLACEMENTS: u32 = 2;
/// Until a missing recording is searched for again.
const LATE_RECORDING: TimeDelta = TimeDelta::hours(1);
/// Until that search is given up.
const LATE_RECORDING_LIMIT: TimeDelta = TimeDelta::hours(25);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    Provisioning,
    Live,
    MaxDuration,
    SellerAway,
    FeedGone,
    Stopping,
    Recordings,
}

impl Relay {
    /// The earliest deadline.
    pub(super) fn deadline(&self) -> Option<(DateTime<Utc>, Deadline)> {
        let durable = &self.durable;
        let timing = &durable.spec.timing;
        let after =
            |from: Option<DateTime<Utc>>, wait, deadline| from.map(|from| (from + wait, deadline));
        match durable.phase {
            Phase::Provisioning => after(
                Some(durable.spec.requested_at),
                timing.provisioning_timeout,
                Deadline::Provisioning,
            ),
            Phase::AwaitingLive => {
                match self.volatile.last_poll_until.filter(|_| self.is_polling()) {
                    Some(until) => Some((until, Deadline::Live)),
                    None => after(durable.started_at, timing.live_timeout, Deadline::Live),
                }
            }
            Phase::Live | Phase::Interrupted => [
                after(durable.live_at, timing.max_duration, Deadline::MaxDuration),
                after(
                    durable.seller_away_since,
                    timing.reconnect_window,
                    Deadline::SellerAway,
                ),
                after(
                    durable.feed_patience_from,
                    timing.feed_timeout,
                    Deadline::FeedGone,
                ),
            ]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at),
            // Calls in flight are waited for.
            Phase::Stopping
                if self.volatile.ingest.in_flight.is_none()
                    && self.volatile.egress.in_flight.is_none() =>
            {
                durable
                    .stopped_at
                    .map(|from| (from + STOPPING_PATIENCE, Deadline::Stopping))
            }
            Phase::Finalizing
                if !durable.recordings_settled
                    && self.volatile.recordings_poll.in_flight.is_none() =>
            {
                let unanswered = timing.recording_timeout * 2;
                let (from, wait) = match durable.recordings_answered_at {
                    Some(at) => (at, timing.recording_timeout),
                    None => (durable.phase_since, unanswered),
                };
                let wait = wait + durable.broadcast_outlives_egress();
                Some((from + wait, Deadline::Recordings))
            }
            Phase::Stopping | Phase::Finalizing | Phase::Ended => None,
        }
    }

    pub(super) fn act_on_deadlines(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.volatile.hold_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.volatile.hold_until = None;
        let Some((_, deadline)) = self.deadline().filter(|(at, _)| *at <= now) else {
            return Ok(());
        };
        match deadline {
            Deadline::Provisioning => {
                let outcome = match &self.volatile.last_failure {
                    Some(failure)
                        if failure.class.is_transient() || failure.class == Class::Unauthorized =>
                    {
                        Outcome::of(failure.clone())
                    }
                    Some(_) | None => Outcome::plain(OutcomeCode::ProvisioningTimeout),
                };
                self.end(step, outcome, now)
            }
            Deadline::Live => self.live_timeout(step, now),
            Deadline::MaxDuration => self.end(step, Outcome::plain(OutcomeCode::MaxDuration), now),
            Deadline::SellerAway => self.end(step, Outcome::plain(OutcomeCode::SellerLeft), now),
            Deadline::FeedGone => self.feed_timeout(step, now),
            Deadline::Stopping => self.defer_what_is_open(step, now),
            Deadline::Recordings => self.give_up_recordings(step, now),
        }
    }

    /// Polls once more for the outcome's evidence, then ends the relay.
    fn live_timeout(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let volatile = &mut self.volatile;
        match volatile.last_poll_until {
            None => {
                volatile.last_poll_until = Some(now + LAST_POLL);
                for state in [
                    &mut volatile.egress_poll,
                    &mut volatile.hosts_poll,
                    &mut volatile.feed_poll,
                ] {
                    state.due = Some(now);
                }
                volatile.seller.reports.doubt_page();
                Ok(())
            }
            Some(_) => {
                let outcome = Outcome {
                    code: OutcomeCode::LiveTimeout,
                    detail: self.observations(now),
                };
                self.end(step, outcome, now)
            }
        }
    }

    pub(super) fn is_polling(&self) -> bool {
        [
            &self.volatile.egress_poll,
            &self.volatile.hosts_poll,
            &self.volatile.feed_poll,
        ]
        .iter()
        .any(|state| state.in_flight.is_some())
    }

    /// The egress runs without a feed: stops it so that another can replace it.
    fn feed_timeout(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let runs = self
            .durable
            .egress
            .as_ref()
            .is_some_and(|egress| egress.stage == EgressStage::Running);
        if runs && self.egress_ref().is_some() && self.durable.replacements < MAX_REPLACEMENTS {
            self.volatile.egress.reset();
            return self.record(step, Fact::EgressRetiring, now);
        }
        let outcome = Outcome {
            code: OutcomeCode::EgressLost,
            detail: self.observations(now),
        };
        self.end(step, outcome, now)
    }

    pub(super) fn observations(&self, now: DateTime<Utc>) -> Detail {
        let egress = match self.volatile.last_egress {
            Some(EgressReading::Publishing) => Some("publishing"),
            Some(EgressReading::Connecting) => Some("connecting"),
            Some(EgressReading::Disconnected) => Some("its output was refused or cut"),
            Some(EgressReading::Failed) => Some("failed"),
            Some(EgressReading::Exited) => Some("exited"),
            Some(EgressReading::NotFound) => Some("not found"),
            None => None,
        };
        let seller = match self.presence(now) {
            Presence::Present => Some("in the channel"),
            Presence::Absent => Some("not in the channel"),
            Presence::Unknown => None,
        };
        Detail {
            failure: self.volatile.last_failure.clone(),
            seller: seller.map(Into::into),
            egress: egress.map(Into::into),
            feed: self
                .volatile
                .feed
                .reported_error
                .clone()
                .or_else(|| self.volatile.feed.last.map(Into::into)),
            untried: false,
        }
    }

    /// Leaves a later search to a cleanup job.
    fn give_up_recordings(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let durable = &self.durable;
        let found = durable.ready_recordings().next().is_some();
        let expected = durable.live_at.is_some()
            || durable
                .recordings
                .iter()
                .any(|v| v.state == RecordingState::Processing);
        let missing = durable.spec.enable_recording && expected && !found;
        if let Some(ingest) = durable.ingest.id.clone() {
            let cleanup = Cleanup::FindRecordings { ingest };
            self.defer(
                step,
                cleanup,
                now + LATE_RECORDING,
                Some(now + LATE_RECORDING_LIMIT),
                now,
            )?;
        }
        self.record(step, Fact::RecordingsSettled { missing }, now)
    }
}
