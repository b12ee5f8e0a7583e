//! What is settled without an answer, and what becomes a cleanup job.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::cleanup_job::{Cleanup, CleanupJob};
use super::cost::{Cost, Source};
use super::egress::EgressRef;
use super::fact::Fact;
use super::failure::Jitter;
use super::phase::{IllegalTransition, Phase};
use super::state::{EgressStage, IngestStage};
use super::step::Step;

impl Relay {
    pub(super) fn settle(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let learnt = self.durable.open_egress().filter(|egress| {
            // With several possible preparations, only the answer to a start tells which it runs on.
            egress.stage == EgressStage::Starting
                && egress.earlier_preparations.is_empty()
                && self.volatile.egress.in_flight.is_none()
        });
        if let Some(handle) = learnt.and_then(|egress| egress.handle.clone()) {
            // A notification gave its handle: the start was carried out.
            self.accepted(step, Some(handle), Jitter::new(0), now)?;
        }
        match self.durable.phase {
            Phase::Stopping => self.settle_stopping(step, now),
            Phase::Finalizing => self.settle_finalizing(step, now),
            Phase::Provisioning
            | Phase::AwaitingLive
            | Phase::Live
            | Phase::Interrupted
            | Phase::Ended => Ok(()),
        }
    }

    fn settle_stopping(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.volatile.egress.in_flight.is_none() {
            let stage = self.durable.open_egress().map(|egress| egress.stage);
            if stage == Some(EgressStage::Starting) && !self.volatile.egress_in_doubt {
                self.record(
                    step,
                    Fact::EgressGone {
                        proof: "its start was never carried out".into(),
                    },
                    now,
                )?;
            } else if stage.is_some_and(|stage| stage != EgressStage::Starting)
                && self.egress_ref().is_none()
            {
                self.defer_egress(step, now, now)?;
            }
        }
        let ingest = self.durable.ingest.stage;
        if self.volatile.ingest.in_flight.is_none()
            && ingest == IngestStage::Requested
            && !self.volatile.ingest_in_doubt
        {
            self.record(step, Fact::IngestGone, now)?;
        }
        self.release_ingest(step, now)?;
        let ingest_down = match self.durable.ingest.stage {
            IngestStage::Unrequested
            | IngestStage::Closed
            | IngestStage::Settled
            | IngestStage::Released => true,
            IngestStage::Requested | IngestStage::Ready => false,
        };
        let in_flight =
            self.volatile.ingest.in_flight.is_some() || self.volatile.egress.in_flight.is_some();
        if ingest_down && !in_flight && self.durable.open_egress().is_none() {
            self.record(step, Fact::TakenDown, now)?;
            self.volatile.ingest.reset();
            self.volatile.recordings_poll.reset();
        }
        Ok(())
    }

    /// Gives a kept ingest back once nothing can publish into it. One whose key cannot be renewed is this relay's own from then
    /// on.
    fn release_ingest(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let durable = &self.durable;
        let in_flight =
            self.volatile.ingest.in_flight.is_some() || self.volatile.egress.in_flight.is_some();
        if !durable.holds_kept_ingest() || durable.open_egress().is_some() || in_flight {
            return Ok(());
        }
        match (
            durable.ingest.key_stale,
            durable.spec.capabilities.renews_key,
        ) {
            (false, _) => self.record(step, Fact::IngestReleased, now),
            (true, false) => self.record(step, Fact::IngestGivenUp, now),
            (true, true) => Ok(()),
        }
    }

    fn settle_finalizing(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if !self.durable.recordings_settled && !self.durable.may_have_recordings() {
            self.record(step, Fact::RecordingsSettled { missing: false }, now)?;
        }
        let keep = self.durable.spec.keep_ingest;
        let ingest_done = match self.durable.ingest.stage {
            IngestStage::Unrequested | IngestStage::Settled | IngestStage::Released => true,
            IngestStage::Closed => keep,
            IngestStage::Requested | IngestStage::Ready => false,
        };
        if self.durable.recordings_settled
            && ingest_done
            && self.volatile.ingest.in_flight.is_none()
        {
            let cost = self.cost(now);
            self.record(step, Fact::Ended { cost }, now)?;
        }
        Ok(())
    }

    fn cost(&self, now: DateTime<Utc>) -> Option<Cost> {
        let durable = &self.durable;
        if durable.live_at.is_none() && durable.recordings.is_empty() {
            return None;
        }
        let observed = durable.live_seconds(now);
        let (seconds, source) = match durable.recorded_seconds() {
            // An unknown duration must not make the cost less than the time observed.
            Some(recorded) if recorded >= observed || !durable.has_open_recordings() => {
                (recorded, Source::Recording)
            }
            Some(_) | None => (observed, Source::Observed),
        };
        Some(Cost::new(
            seconds,
            source,
            durable.egress_seconds,
            durable.spec.prices,
        ))
    }

    pub(super) fn defer_what_is_open(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.durable.open_egress().is_some() {
            self.defer_egress(step, now, now)?;
        }
        self.defer_ingest(step, now)
    }

    pub(super) fn defer_egress(
        &mut self,
        step: &mut Step,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        for (cleanup, expires) in self.egress_cleanup_jobs() {
            self.defer(step, cleanup, due, expires, now)?;
        }
        Ok(())
    }

    /// Cleanup jobs and their expiry. If the handle is a guess, a second job covers another egress of the same tag.
    pub(super) fn egress_cleanup_jobs(&self) -> Vec<(Cleanup, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let Some((egress, known)) = durable.egress.as_ref().zip(durable.egress_ref()) else {
            return Vec::new();
        };
        let prepared_at = egress.preparation.as_ref().map(|known| known.at);
        let from = egress.accepted_at.or(prepared_at);
        let from = from.unwrap_or(durable.phase_since);
        let max_hours = durable.spec.egress.capabilities.max_hours;
        // An hour more than the backend's own limit.
        let expires = max_hours.map(|hours| from + TimeDelta::hours(i64::from(hours) + 1));
        let unnamed = Cleanup::FindEgress(EgressRef {
            handle: None,
            ..known.clone()
        });
        let cleanups = match (&egress.handle, egress.handle_is_guess) {
            (None, _) => vec![unnamed],
            (Some(_), false) => vec![Cleanup::StopEgress(known)],
            (Some(_), true) => vec![Cleanup::StopEgress(known), unnamed],
        };
        cleanups
            .into_iter()
            .map(|cleanup| (cleanup, expires))
            .collect()
    }

    /// When to check again after a 404, as the backend may be moving the egress (`agora.md §8.1`): 30 s by default.
    pub(super) fn recheck_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let waits = &self.durable.spec.timing.not_found_backoff;
        now + waits.iter().sum::<Duration>() / 4
    }

    pub(super) fn defer(
        &mut self,
        step: &mut Step,
        cleanup: Cleanup,
        due: DateTime<Utc>,
        expires: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(
            step,
            Fact::CleanupAdded {
                cleanup_job: Box::new(CleanupJob {
                    cleanup,
                    due,
                    expires,
                }),
            },
            now,
        )
    }
}
