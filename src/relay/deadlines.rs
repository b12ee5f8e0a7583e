//! What time decides.

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

/// How long a relay waits in `stopping` for what it takes down; what is still open then is owed.
const STOPPING_PATIENCE: TimeDelta = TimeDelta::seconds(30);
/// How long the last poll before `live_timeout` is waited for.
const LAST_POLL: TimeDelta = TimeDelta::seconds(5);
/// At most so many egresses take another's place.
pub(super) const REPLACEMENTS: u32 = 2;
/// When a recording that did not turn up is looked for again.
const LATE_RECORDING: TimeDelta = TimeDelta::hours(1);
/// When that is given up.
const LATE_RECORDING_LIMIT: TimeDelta = TimeDelta::hours(25);

/// What a deadline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The egress had to accept.
    Provisioning,
    /// It had to be live.
    Live,
    /// It was live for long enough.
    MaxDuration,
    /// The seller had to be back.
    SellerAway,
    /// The feed had to be back.
    FeedGone,
    /// Everything had to be down.
    Stopping,
    /// The recordings had to be found.
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
            // What is in flight is waited for: only what failed, or was never asked, is given up.
            Phase::Stopping
                if self.volatile.input.flight.is_none()
                    && self.volatile.egress.flight.is_none() =>
            {
                durable
                    .stopped_at
                    .map(|from| (from + STOPPING_PATIENCE, Deadline::Stopping))
            }
            Phase::Finalizing
                if !durable.recordings_settled && self.volatile.recordings.flight.is_none() =>
            {
                let unanswered = timing.recording_timeout * 2;
                let (from, wait) = match durable.recordings_answered_at {
                    Some(at) => (at, timing.recording_timeout),
                    None => (durable.phase_since, unanswered),
                };
                Some((from + wait, Deadline::Recordings))
            }
            Phase::Stopping | Phase::Finalizing | Phase::Ended => None,
        }
    }

    /// Acts on every deadline that has passed, unless that must wait for a poll.
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
                        if failure.class.may_pass() || failure.class == Class::Unauthorized =>
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

    /// One last look at egress, seller and feed, so that the reason can be told; then the end.
    fn live_timeout(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let volatile = &mut self.volatile;
        match volatile.last_poll_until {
            None => {
                volatile.last_poll_until = Some(now + LAST_POLL);
                for slot in [
                    &mut volatile.health,
                    &mut volatile.hosts,
                    &mut volatile.feed,
                ] {
                    slot.due = Some(now);
                }
                volatile.seller.book.doubt_page();
                Ok(())
            }
            Some(_) => {
                let outcome = Outcome {
                    code: OutcomeCode::LiveTimeout,
                    detail: self.what_was_seen(now),
                };
                self.end(step, outcome, now)
            }
        }
    }

    /// Whether a poll is in flight.
    pub(super) fn is_polling(&self) -> bool {
        [
            &self.volatile.health,
            &self.volatile.hosts,
            &self.volatile.feed,
        ]
        .iter()
        .any(|slot| slot.flight.is_some())
    }

    /// The egress answers and the feed stays away: it is stopped, and another takes its place.
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
        if runs && self.egress_ref().is_some() && self.durable.replacements < REPLACEMENTS {
            self.volatile.egress.rest();
            return self.record(step, Fact::EgressRetiring, now);
        }
        let outcome = Outcome {
            code: OutcomeCode::EgressLost,
            detail: self.what_was_seen(now),
        };
        self.end(step, outcome, now)
    }

    /// What was last seen of everything, for an outcome's detail.
    pub(super) fn what_was_seen(&self, now: DateTime<Utc>) -> Detail {
        let egress = match self.volatile.last_egress {
            Some(EgressReading::Publishing) => Some("it says that it publishes"),
            Some(EgressReading::Connecting) => Some("it had not begun to publish"),
            Some(EgressReading::Disconnected) => Some("its output was refused or cut"),
            Some(EgressReading::Failed) => Some("its push failed"),
            Some(EgressReading::Exited) => Some("it had exited"),
            Some(EgressReading::NotFound) => Some("Agora did not know it"),
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
                .watch
                .told_errored
                .clone()
                .or_else(|| self.volatile.watch.last.map(Into::into)),
            untried: false,
        }
    }

    /// The search for recordings is given up, and made again later as a cleanup job.
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
        if let Some(ingest) = durable.ingest.uid.clone() {
            let owed = Cleanup::FindRecordings { ingest };
            self.defer(
                step,
                owed,
                now + LATE_RECORDING,
                Some(now + LATE_RECORDING_LIMIT),
                now,
            )?;
        }
        self.record(step, Fact::RecordingsSettled { missing }, now)
    }
}
