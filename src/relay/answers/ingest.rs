//! What failures of calls on the ingest mean.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::retry_renamed;
use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::capabilities::CreateRepeat;
use crate::relay::cleanup_job::Cleanup;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::IngestStage;
use crate::relay::step::Step;

/// The removal then becomes a cleanup job.
const MAX_REMOVE_TRIES: u32 = 3;
/// How long a removal waits for the end of the broadcast before it becomes a cleanup job.
const STILL_LIVE_PATIENCE: TimeDelta = TimeDelta::seconds(60);

impl Relay {
    pub(super) fn ingest_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        (retry, failures): (bool, u32),
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::CreateIngest { attempt } if failure.class == Class::Conflict => {
                // The key's ingest was removed: this attempt created nothing.
                self.volatile.ingest_in_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                let (first, jitter) = (self.first_wait(), self.volatile.jitter);
                let due = retry_renamed(&mut self.volatile.ingests_missed, first, jitter, now);
                self.volatile.ingest.reset();
                self.volatile.ingest.due = due;
                self.record(
                    step,
                    Fact::IngestRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::CreateIngest { .. } => {
                self.volatile.ingest_in_doubt |= failure.maybe_done;
                if self.durable.phase == Phase::Stopping {
                    let hopeless = !retry && self.volatile.ingest_in_doubt;
                    return if hopeless {
                        self.defer_ingest(step, now)
                    } else {
                        Ok(())
                    };
                }
                if retry {
                    return Ok(());
                }
                self.end(step, Outcome::of(failure), now)
            }
            Call::RenewIngestKey { .. } | Call::EndBroadcast { .. }
                if failure.class == Class::NotFound =>
            {
                let outcome = Outcome::of(failure).with_code(OutcomeCode::IngestGone);
                self.ingest_lost(step, outcome, now)
            }
            Call::CloseIngest { .. } | Call::FindIngest { .. } | Call::RenewIngestKey { .. }
                if !retry && self.durable.phase == Phase::Stopping =>
            {
                self.defer_ingest(step, now)
            }
            // Before a relay is on air a refusal ends it; later, a deadline does.
            Call::ClaimIngest
            | Call::FindIngest { .. }
            | Call::EndBroadcast { .. }
            | Call::RenewIngestKey { .. }
                if !retry && self.durable.phase == Phase::Provisioning =>
            {
                self.end(step, Outcome::of(failure), now)
            }
            Call::RemoveIngest { ingest } if !retry || failures >= MAX_REMOVE_TRIES => self.defer(
                step,
                Cleanup::RemoveIngest { id: ingest.clone() },
                now,
                None,
                now,
            ),
            // Retried.
            Call::ClaimIngest
            | Call::EndBroadcast { .. }
            | Call::FindIngest { .. }
            | Call::RenewIngestKey { .. }
            | Call::CloseIngest { .. }
            | Call::RemoveIngest { .. } => Ok(()),
            // Other lanes.
            Call::PrepareEgress { .. }
            | Call::StartEgress { .. }
            | Call::UpdateEgress { .. }
            | Call::StopEgress(_)
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::PollRecordings { .. } => Ok(()),
        }
    }

    /// The ingest does not exist. A start whose channel kept it goes on and creates another.
    pub(super) fn ingest_lost(
        &mut self,
        step: &mut Step,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::IngestGone, now)?;
        self.volatile.ingest.reset();
        let starts_anew = self.durable.ingest.stage == IngestStage::Unrequested;
        if starts_anew || !self.durable.phase.holds_slot() {
            return Ok(());
        }
        self.end(step, outcome, now)
    }

    /// The lists of a platform without idempotency keys may lag: a cleanup job searches again, as each creation has a
    /// tag of its own.
    pub(super) fn ingest_not_found(
        &mut self,
        step: &mut Step,
        attempt: u32,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.ingest_in_doubt = false;
        if self.durable.phase != Phase::Stopping {
            let (first, jitter) = (self.first_wait(), self.volatile.jitter);
            let due = retry_renamed(&mut self.volatile.ingests_missed, first, jitter, now);
            self.volatile.ingest.reset();
            self.volatile.ingest.due = due;
            let attempt = attempt + 1;
            self.record(step, Fact::IngestRequested { attempt }, now)?;
        }
        match self.durable.spec.capabilities.create_repeat {
            CreateRepeat::IdempotencyKey { .. } => Ok(()),
            CreateRepeat::LookUp => {
                let tag = self.durable.spec.tag(attempt).to_string();
                self.defer(step, Cleanup::FindIngest { tag }, now, None, now)
            }
        }
    }

    pub(super) fn still_live(
        &mut self,
        step: &mut Step,
        call: &Call,
        retry_after: Duration,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let Call::RemoveIngest { ingest } = call else {
            return Ok(());
        };
        let due = now + retry_after.max(self.first_wait());
        let since = *self.volatile.still_live_since.get_or_insert(now);
        if now < since + STILL_LIVE_PATIENCE {
            self.volatile.ingest.due = Some(due);
            return Ok(());
        }
        let id = ingest.clone();
        self.defer(step, Cleanup::RemoveIngest { id }, due, None, now)
    }

    pub(in crate::relay) fn defer_ingest(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let ingest = &self.durable.ingest;
        let cleanup = match (ingest.stage, ingest.id.clone()) {
            (IngestStage::Requested, _) => Cleanup::FindIngest {
                tag: self.durable.spec.tag(ingest.attempt).to_string(),
            },
            (IngestStage::Ready, Some(id)) if ingest.kept.is_some() => {
                return self.defer_release(step, id, now);
            }
            (IngestStage::Ready, Some(id)) => Cleanup::CloseIngest { id },
            _ => return Ok(()),
        };
        self.defer(step, cleanup, now, None, now)
    }

    /// The channel gets its ingest back although an egress may still publish.
    fn defer_release(
        &mut self,
        step: &mut Step,
        id: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let durable = &self.durable;
        let may_publish = durable.ingest.key_stale || durable.open_egress().is_some();
        match (may_publish, durable.spec.capabilities.renews_key) {
            (false, _) => self.record(step, Fact::IngestReleased, now),
            (true, true) => self.defer(step, Cleanup::RenewIngestKey { id }, now, None, now),
            (true, false) => {
                self.record(step, Fact::IngestGivenUp, now)?;
                self.defer(step, Cleanup::CloseIngest { id }, now, None, now)
            }
        }
    }
}
