//! What needs no answer to be settled, and what is owed instead of being waited for.

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
    /// Settles what needs no answer.
    pub(super) fn settle(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let learnt = self.durable.open_egress().filter(|egress| {
            // On which of several resources it runs, only the answer to a start can tell.
            egress.stage == EgressStage::Starting
                && egress.earlier_resources.is_empty()
                && self.volatile.egress.flight.is_none()
        });
        if let Some(sid) = learnt.and_then(|egress| egress.sid.clone()) {
            // Its session was named by a notification while its start was open: it runs.
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
        if self.volatile.egress.flight.is_none() {
            let stage = self.durable.open_egress().map(|egress| egress.stage);
            if stage == Some(EgressStage::Starting) && !self.volatile.egress_doubt {
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
        let input = self.durable.ingest.stage;
        if self.volatile.input.flight.is_none()
            && input == IngestStage::Requested
            && !self.volatile.input_doubt
        {
            self.record(step, Fact::IngestGone, now)?;
        }
        let input_down = match self.durable.ingest.stage {
            IngestStage::Unrequested | IngestStage::Disabled | IngestStage::Settled => true,
            IngestStage::Requested | IngestStage::Ready => false,
        };
        let in_flight =
            self.volatile.input.flight.is_some() || self.volatile.egress.flight.is_some();
        if input_down && !in_flight && self.durable.open_egress().is_none() {
            self.record(step, Fact::TakenDown, now)?;
            self.volatile.input.rest();
            self.volatile.recordings.rest();
        }
        Ok(())
    }

    fn settle_finalizing(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if !self.durable.recordings_settled && self.durable.ingest.uid.is_none() {
            self.record(step, Fact::RecordingsSettled { missing: false }, now)?;
        }
        let keep = self.durable.spec.keep_ingest;
        let input_done = match self.durable.ingest.stage {
            IngestStage::Unrequested | IngestStage::Settled => true,
            IngestStage::Disabled => keep,
            IngestStage::Requested | IngestStage::Ready => false,
        };
        if self.durable.recordings_settled && input_done && self.volatile.input.flight.is_none() {
            let cost = self.cost(now);
            self.record(step, Fact::Ended { cost }, now)?;
        }
        Ok(())
    }

    /// What it cost, when it went live or left a video.
    fn cost(&self, now: DateTime<Utc>) -> Option<Cost> {
        let durable = &self.durable;
        if durable.live_at.is_none() && durable.recordings.is_empty() {
            return None;
        }
        let observed = durable.live_seconds(now);
        let (seconds, source) = match durable.recorded_seconds() {
            // What is still unknown of a recording at the deadline counts as observed, never as nothing.
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

    /// Patience is over in `stopping`: what is still open is owed.
    pub(super) fn defer_what_is_open(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.durable.open_egress().is_some() {
            self.defer_egress(step, now, now)?;
        }
        let input = &self.durable.ingest;
        match (input.stage, input.uid.clone()) {
            (IngestStage::Requested, _) => {
                let tag = self.durable.spec.tag(input.attempt).to_string();
                self.defer(step, Cleanup::FindIngest { tag }, now, None, now)
            }
            (IngestStage::Ready, Some(uid)) => {
                self.defer(step, Cleanup::DisableIngest { uid }, now, None, now)
            }
            _ => Ok(()),
        }
    }

    /// The open egress becomes a cleanup job, due at `due`.
    pub(super) fn defer_egress(
        &mut self,
        step: &mut Step,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        for (owed, expires) in self.egress_cleanup_jobs() {
            self.defer(step, owed, due, expires, now)?;
        }
        Ok(())
    }

    /// What is owed for the egress there is, and when the vendor's own limit ends it. Where its session is a guess, another
    /// one may run under the same name: that is owed as well.
    pub(super) fn egress_cleanup_jobs(&self) -> Vec<(Cleanup, Option<DateTime<Utc>>)> {
        let egress = self.durable.egress.as_ref();
        let Some((owed, expires)) =
            self.egress_cleanup_job(egress.and_then(|known| known.sid.clone()))
        else {
            return Vec::new();
        };
        let is_guess = egress.is_some_and(|egress| egress.sid_is_guess);
        let unknown = is_guess.then(|| self.egress_cleanup_job(None)).flatten();
        std::iter::once((owed, expires)).chain(unknown).collect()
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
                let uid = durable.recording_uid(egress.attempt)?;
                let owed = match sid {
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
                Some((owed, Some(from + hours)))
            }
            Backend::MediaPush { region } => {
                let region = region.clone();
                let owed = match egress.converter_id.clone() {
                    Some(converter_id) => Cleanup::DeleteConverter {
                        converter_id,
                        region,
                    },
                    None => Cleanup::FindConverter { name, region },
                };
                Some((owed, None))
            }
        }
    }

    /// When to look again for an egress that answered 404: Agora may be moving it (`agora.md §8.1`). A quarter of the
    /// back-off, 30 s by default.
    pub(super) fn recheck_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let waits = &self.durable.spec.timing.not_found_backoff;
        now + waits.iter().sum::<Duration>() / 4
    }

    pub(super) fn defer(
        &mut self,
        step: &mut Step,
        owed: Cleanup,
        due: DateTime<Utc>,
        expires: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(
            step,
            Fact::CleanupAdded {
                cleanup_job: Box::new(CleanupJob { owed, due, expires }),
            },
            now,
        )
    }
}
