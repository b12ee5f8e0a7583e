//! What a look for recordings means.

use chrono::{DateTime, Utc};

use crate::relay::Relay;
use crate::relay::debt::Owed;
use crate::relay::fact::Fact;
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::{Video, VideoState};
use crate::relay::step::{Ignored, Step};

impl Relay {
    pub(super) fn recordings_read(
        &mut self,
        step: &mut Step,
        videos: Vec<Video>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if self.durable.recordings_answered_at.is_none() {
            self.record(step, Fact::RecordingsAnswered, now)?;
        }
        self.take_recordings(step, videos, now)?;
        let durable = &self.durable;
        let open = durable.has_open_videos();
        let ready = durable.ready_videos().next().is_some();
        let expected = durable.spec.enable_recording && durable.live_at.is_some();
        if open || (expected && durable.videos.is_empty()) {
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

    /// Takes in what a look said of videos; one that nobody wanted becomes a debt.
    pub(super) fn take_recordings(
        &mut self,
        step: &mut Step,
        videos: Vec<Video>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        for video in videos {
            let uid = video.uid.clone();
            let known = self.durable.videos.iter().find(|known| known.uid == uid);
            let settled =
                known.is_some_and(|known| *known == video || known.state == VideoState::Deleted);
            if !settled {
                self.record(
                    step,
                    Fact::Recording {
                        video: Box::new(video),
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
            .videos
            .iter()
            .filter(|video| video.state != VideoState::Deleted);
        for uid in unwanted.map(|video| video.uid.clone()).collect::<Vec<_>>() {
            self.owe(step, Owed::DeleteVideo { uid }, now, None, now)?;
        }
        Ok(())
    }

    /// Recordings that turned up after the search was over: told of, and nothing else.
    pub(in crate::relay) fn late_recordings(
        &mut self,
        step: &mut Step,
        videos: Vec<Video>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match self.durable.phase {
            Phase::Finalizing | Phase::Ended if self.durable.recordings_settled => {
                self.take_recordings(step, videos, now)
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
