//! What polls for recordings mean.

use chrono::{DateTime, Utc};

use crate::relay::Relay;
use crate::relay::cleanup_job::Cleanup;
use crate::relay::fact::Fact;
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::{Recording, RecordingState};
use crate::relay::step::{Ignored, Step};

impl Relay {
    pub(super) fn recordings_read(
        &mut self,
        step: &mut Step,
        recordings: Vec<Recording>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.durable.recordings_answered_at.is_none() {
            self.record(step, Fact::RecordingsAnswered, now)?;
        }
        self.take_recordings(step, recordings, now)?;
        let durable = &self.durable;
        let open = durable.has_open_recordings();
        let ready = durable.ready_recordings().next().is_some();
        let expected = durable.spec.enable_recording && durable.live_at.is_some();
        if open || (expected && durable.recordings.is_empty()) {
            return Ok(());
        }
        self.record(
            step,
            Fact::RecordingsSettled {
                missing: expected && !ready,
            },
            now,
        )
    }

    /// Without `enable_recording`, each recording becomes a cleanup job.
    pub(super) fn take_recordings(
        &mut self,
        step: &mut Step,
        recordings: Vec<Recording>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        for recording in recordings {
            let id = recording.id.clone();
            let known = self.durable.recordings.iter().find(|known| known.id == id);
            let settled = known
                .is_some_and(|known| *known == recording || known.state == RecordingState::Deleted);
            if !settled {
                self.record(
                    step,
                    Fact::Recording {
                        recording: Box::new(recording),
                    },
                    now,
                )?;
            }
        }
        if self.durable.spec.enable_recording {
            return Ok(());
        }
        let unwanted = self
            .durable
            .recordings
            .iter()
            .filter(|recording| recording.state != RecordingState::Deleted);
        for id in unwanted
            .map(|recording| recording.id.clone())
            .collect::<Vec<_>>()
        {
            self.defer(step, Cleanup::DeleteRecording { id }, now, None, now)?;
        }
        Ok(())
    }

    pub(in crate::relay) fn late_recordings(
        &mut self,
        step: &mut Step,
        recordings: Vec<Recording>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match self.durable.phase {
            Phase::Finalizing | Phase::Ended if self.durable.recordings_settled => {
                self.take_recordings(step, recordings, now)
            }
            Phase::Provisioning
            | Phase::AwaitingLive
            | Phase::Live
            | Phase::Interrupted
            | Phase::Stopping
            | Phase::Finalizing
            | Phase::Ended => {
                step.ignored = Some(Ignored::Inapplicable);
                Ok(())
            }
        }
    }
}
