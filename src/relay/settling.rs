//! What is settled without an answer, and what becomes a cleanup job.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::cleanup_job::{Cleanup, CleanupJob};
use super::cost::{Cost, Source};
use super::fact::Fact;
use super::failure::Jitter;
use super::phase::{IllegalTransition, Phase};
use super::spec::Backend;
use super::state::{EgressStage, IngestStage};
use super::step::Step;

impl Relay {
    pub(super) fn settle(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let learnt = self.durable.open_egress().filter(|egress| {
            // With several possible resources, only the answer to a start tells which it runs on.
            egress.stage == EgressStage::Starting
                && egress.earlier_resources.is_empty()
                && self.volatile.egress.in_flight.is_none()
        });
        if let Some(sid) = learnt.and_then(|egress| egress.sid.clone()) {
            // A notification named its session: the start was carried out.
            self.accepted(step, Some(sid), None, Jitter::new(0), now)?;
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
        let ingest_down = match self.durable.ingest.stage {
            IngestStage::Unrequested | IngestStage::Closed | IngestStage::Settled => true,
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
            IngestStage::Unrequested | IngestStage::Settled => true,
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
        let ingest = &self.durable.ingest;
        match (ingest.stage, ingest.id.clone()) {
            (IngestStage::Requested, _) => {
                let tag = self.durable.spec.tag(ingest.attempt).to_string();
                self.defer(step, Cleanup::FindIngest { tag }, now, None, now)
            }
            (IngestStage::Ready, Some(id)) => {
                self.defer(step, Cleanup::DisableIngest { id }, now, None, now)
            }
            _ => Ok(()),
        }
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

    /// Cleanup jobs and their expiry. If the session is a guess, a second job covers another egress of the same name.
    pub(super) fn egress_cleanup_jobs(&self) -> Vec<(Cleanup, Option<DateTime<Utc>>)> {
        let egress = self.durable.egress.as_ref();
        let Some((cleanup, expires)) =
            self.egress_cleanup_job(egress.and_then(|known| known.sid.clone()))
        else {
            return Vec::new();
        };
        let is_guess = egress.is_some_and(|egress| egress.sid_is_guess);
        let unknown = is_guess.then(|| self.egress_cleanup_job(None)).flatten();
        std::iter::once((cleanup, expires)).chain(unknown).collect()
    }

    fn egress_cleanup_job(&self, sid: Option<String>) -> Option<(Cleanup, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let egress = durable.egress.as_ref()?;
        let name = durable.spec.tag(egress.attempt).to_string();
        match &durable.spec.backend {
            Backend::CloudRecording {
                max_recording_hours,
                ..
            } => {
                let from = egress
                    .accepted_at
                    .or(egress.acquired_at)
                    .unwrap_or(durable.phase_since);
                let hours = TimeDelta::hours(i64::from(*max_recording_hours) + 1);
                let resource_id = egress.resource_id.clone()?;
                let other_resources = egress.earlier_resources.clone();
                let uid = durable.egress_uid(egress.attempt)?;
                let cleanup = match sid {
                    Some(sid) => Cleanup::StopEgress {
                        resource_id,
                        other_resources,
                        sid,
                        cname: name,
                        uid,
                    },
                    None => Cleanup::UnknownEgress {
                        resource_id,
                        other_resources,
                        cname: name,
                        uid,
                    },
                };
                Some((cleanup, Some(from + hours)))
            }
            Backend::MediaPush { region } => {
                let region = region.clone();
                let cleanup = match egress.converter_id.clone() {
                    Some(converter_id) => Cleanup::DeleteConverter {
                        converter_id,
                        region,
                    },
                    None => Cleanup::FindConverter { name, region },
                };
                Some((cleanup, None))
            }
        }
    }

    /// When to check again after a 404, as Agora may be moving the egress (`agora.md §8.1`): 30 s by default.
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
