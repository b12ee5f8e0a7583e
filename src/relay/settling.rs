//! What needs no answer to be settled, and what is owed instead of being waited for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::cost::{Cost, Source};
use super::debt::{Debt, Owed};
use super::fact::Fact;
use super::failure::Jitter;
use super::phase::{IllegalTransition, Phase};
use super::spec::Backend;
use super::state::{InputStage, RecorderStage};
use super::step::Step;

impl Relay {
    /// Settles what needs no answer.
    pub(super) fn settle(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let learnt = self.durable.open_recorder().filter(|recorder| {
            // On which of several resources it runs, only the answer to a start can tell.
            recorder.stage == RecorderStage::Starting
                && recorder.earlier_resources.is_empty()
                && self.volatile.recorder.flight.is_none()
        });
        if let Some(sid) = learnt.and_then(|recorder| recorder.sid.clone()) {
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
        if self.volatile.recorder.flight.is_none() {
            let stage = self.durable.open_recorder().map(|recorder| recorder.stage);
            if stage == Some(RecorderStage::Starting) && !self.volatile.recorder_doubt {
                self.record(
                    step,
                    Fact::RecorderGone {
                        proof: "its start was never carried out".into(),
                    },
                    now,
                )?;
            } else if stage.is_some_and(|stage| stage != RecorderStage::Starting)
                && self.recorder_ref().is_none()
            {
                self.owe_recorder(step, now, now)?;
            }
        }
        let input = self.durable.live_input.stage;
        if self.volatile.input.flight.is_none()
            && input == InputStage::Requested
            && !self.volatile.input_doubt
        {
            self.record(step, Fact::LiveInputGone, now)?;
        }
        let input_down = match self.durable.live_input.stage {
            InputStage::Unrequested | InputStage::Disabled | InputStage::Settled => true,
            InputStage::Requested | InputStage::Ready => false,
        };
        let in_flight =
            self.volatile.input.flight.is_some() || self.volatile.recorder.flight.is_some();
        if input_down && !in_flight && self.durable.open_recorder().is_none() {
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
        if !self.durable.recordings_settled && self.durable.live_input.uid.is_none() {
            self.record(step, Fact::RecordingsSettled { missing: false }, now)?;
        }
        let keep = self.durable.spec.keep_live_input;
        let input_done = match self.durable.live_input.stage {
            InputStage::Unrequested | InputStage::Settled => true,
            InputStage::Disabled => keep,
            InputStage::Requested | InputStage::Ready => false,
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
        if durable.live_at.is_none() && durable.videos.is_empty() {
            return None;
        }
        let observed = durable.live_seconds(now);
        let (seconds, source) = match durable.recorded_seconds() {
            // What is still unknown of a recording at the deadline counts as observed, never as nothing.
            Some(recorded) if recorded >= observed || !durable.has_open_videos() => {
                (recorded, Source::Recording)
            }
            Some(_) | None => (observed, Source::Observed),
        };
        Some(Cost::new(
            seconds,
            source,
            durable.recorder_seconds,
            durable.spec.prices,
        ))
    }

    /// Patience is over in `stopping`: what is still open is owed.
    pub(super) fn owe_what_is_open(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.durable.open_recorder().is_some() {
            self.owe_recorder(step, now, now)?;
        }
        let input = &self.durable.live_input;
        match (input.stage, input.uid.clone()) {
            (InputStage::Requested, _) => {
                let mark = self.durable.spec.mark(input.attempt).to_string();
                self.owe(step, Owed::FindLiveInput { mark }, now, None, now)
            }
            (InputStage::Ready, Some(uid)) => {
                self.owe(step, Owed::DisableLiveInput { uid }, now, None, now)
            }
            _ => Ok(()),
        }
    }

    /// The open recorder becomes a debt, due at `due`.
    pub(super) fn owe_recorder(
        &mut self,
        step: &mut Step,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        for (owed, expires) in self.recorder_debts() {
            self.owe(step, owed, due, expires, now)?;
        }
        Ok(())
    }

    /// What is owed for the recorder there is, and when the vendor's own limit ends it. Where its session is a guess, another
    /// one may run under the same name: that is owed as well.
    pub(super) fn recorder_debts(&self) -> Vec<(Owed, Option<DateTime<Utc>>)> {
        let recorder = self.durable.recorder.as_ref();
        let Some((owed, expires)) =
            self.recorder_debt(recorder.and_then(|known| known.sid.clone()))
        else {
            return Vec::new();
        };
        let is_guess = recorder.is_some_and(|recorder| recorder.sid_is_guess);
        let unknown = is_guess.then(|| self.recorder_debt(None)).flatten();
        std::iter::once((owed, expires)).chain(unknown).collect()
    }

    fn recorder_debt(&self, sid: Option<String>) -> Option<(Owed, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let recorder = durable.recorder.as_ref()?;
        let name = durable.spec.mark(recorder.attempt).to_string();
        match &durable.spec.backend {
            Backend::CloudRecording {
                max_recording_hours,
                ..
            } => {
                let from = recorder
                    .accepted_at
                    .or(recorder.acquired_at)
                    .unwrap_or(durable.phase_since);
                let hours = TimeDelta::hours(i64::from(*max_recording_hours) + 1);
                let resource_id = recorder.resource_id.clone()?;
                let other_resources = recorder.earlier_resources.clone();
                let uid = durable.recording_uid(recorder.attempt)?;
                let owed = match sid {
                    Some(sid) => Owed::StopRecorder {
                        resource_id,
                        other_resources,
                        sid,
                        cname: name,
                        uid,
                    },
                    None => Owed::UnknownRecorder {
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
                let owed = match recorder.converter_id.clone() {
                    Some(converter_id) => Owed::DeleteConverter {
                        converter_id,
                        region,
                    },
                    None => Owed::FindConverter { name, region },
                };
                Some((owed, None))
            }
        }
    }

    /// When to look again for a recorder that answered 404: Agora may be moving it (`agora.md §8.1`). A quarter of the
    /// back-off, 30 s by default.
    pub(super) fn recheck_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let waits = &self.durable.spec.timing.not_found_backoff;
        now + waits.iter().sum::<Duration>() / 4
    }

    pub(super) fn owe(
        &mut self,
        step: &mut Step,
        owed: Owed,
        due: DateTime<Utc>,
        expires: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(
            step,
            Fact::Owed {
                debt: Box::new(Debt { owed, due, expires }),
            },
            now,
        )
    }
}
