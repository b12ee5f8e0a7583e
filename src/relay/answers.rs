//! What the results of calls mean.

use chrono::{DateTime, Utc};

use super::Relay;
use super::action::{ActionId, Call, Ignored, Step};
use super::deadlines::REPLACEMENTS;
use super::debt::Owed;
use super::event::Answer;
use super::fact::Fact;
use super::failure::{Class, Failure, Jitter, back_off};
use super::outcome::{Detail, Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::spec::Backend;
use super::state::{InputStage, RecorderStage, Video, VideoState};
use super::volatile::Kind;

use strum::IntoEnumIterator;

/// So many failures of a deletion, and it becomes a debt.
const DELETE_TRIES: u32 = 3;

impl Relay {
    /// The call an id names, no longer in flight; none when nobody waits for it.
    fn landed(&mut self, action: ActionId) -> Option<(Kind, Call)> {
        Kind::iter().find_map(|kind| {
            let flight = &mut self.volatile.slot(kind).flight;
            let (_, call) = flight.take_if(|(id, _)| *id == action)?;
            Some((kind, call))
        })
    }

    pub(super) fn answered(
        &mut self,
        step: &mut Step,
        action: ActionId,
        answer: Answer,
        jitter: Jitter,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let Some((kind, call)) = self.landed(action) else {
            step.ignored = Some(Ignored::Stale);
            return Ok(());
        };
        self.volatile.slot(kind).failures = 0;
        self.let_go(kind);
        match answer {
            Answer::LiveInput {
                uid,
                hls_url,
                dash_url,
                echo_differs,
            } => {
                self.volatile.input_doubt = false;
                self.volatile.input.rest();
                self.record(
                    step,
                    Fact::LiveInputReady {
                        uid,
                        hls_url,
                        dash_url,
                        echo_differs,
                    },
                    now,
                )
            }
            Answer::Acquired { resource_id } => self.acquired(step, resource_id, now),
            Answer::Recording { sid } => self.accepted(step, sid, None, jitter, now),
            Answer::RecordingElsewhere => {
                self.record(step, Fact::RecorderElsewhere, now)?;
                self.accepted(step, None, None, jitter, now)
            }
            Answer::Converting { converter_id } => {
                self.accepted(step, None, Some(converter_id), jitter, now)
            }
            Answer::ResourceExpired => {
                self.volatile.reacquire = true;
                self.volatile.recorder.rest();
                Ok(())
            }
            Answer::KeysRotated => {
                self.volatile.input.rest();
                self.record(step, Fact::KeysRotated, now)
            }
            Answer::Feed(reading) => self.feed_read(step, reading, jitter, now),
            // A slow look at a recorder that another has replaced meanwhile says nothing of that one.
            Answer::Recorder(_) if !self.is_about_the_recorder(&call) => {
                step.ignored = Some(Ignored::Stale);
                Ok(())
            }
            Answer::Recorder(reading) => self.recorder_read(step, reading, now),
            Answer::Hosts { present } => self.hosts_read(step, present, now),
            Answer::Updated => {
                self.volatile.recorder.rest();
                self.volatile
                    .health
                    .hasten(now + self.durable.spec.timing.poll_interval);
                Ok(())
            }
            Answer::Stopped => {
                self.volatile.recorder.rest();
                self.recorder_gone(step, "its stop was answered", false, now)
            }
            Answer::Disabled => self.record(step, Fact::LiveInputDisabled, now),
            Answer::Deleted => self.record(step, Fact::LiveInputGone, now),
            Answer::NotFound => self.not_found(step, &call, now),
            Answer::Recordings(videos) => self.recordings_read(step, videos, now),
        }
    }

    /// A deadline held back is let go by an answer: of a watched relay, by one on its feed or its seller, and when the
    /// other is not being asked for. The feed comes first, and says nothing of a seller who is back.
    fn let_go(&mut self, kind: Kind) {
        let seen = matches!(kind, Kind::Feed | Kind::Hosts) || !self.durable.phase.is_watched();
        if seen && !self.is_looking() {
            self.volatile.hold_until = None;
        }
    }

    pub(super) fn failed(
        &mut self,
        step: &mut Step,
        action: ActionId,
        failure: Failure,
        jitter: Jitter,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let Some((kind, call)) = self.landed(action) else {
            step.ignored = Some(Ignored::Stale);
            return Ok(());
        };
        let slot = self.volatile.slot(kind);
        slot.failures += 1;
        let failures = slot.failures;
        let first = self
            .durable
            .spec
            .timing
            .poll_interval
            .min(std::time::Duration::from_secs(1));
        let retry_at = now + back_off(first, failures, jitter, &failure);
        match kind {
            // A look that failed is no reading; the next one comes at its time, or later if the vendor asks for that.
            Kind::Feed | Kind::Health | Kind::Hosts | Kind::Recordings => {
                let asked = failure.retry_after_ms.map(|_| retry_at);
                let slot = self.volatile.slot(kind);
                slot.due = slot.due.max(asked);
                // What was read of the feed before is too old to go live on.
                self.volatile.watch.good &= kind != Kind::Feed;
                self.may_be_live(step, now)
            }
            Kind::Input => {
                self.volatile.input.due = Some(retry_at);
                self.volatile.last_failure = Some(failure.clone());
                self.input_failed(step, &call, failure, failures, now)
            }
            Kind::Recorder => {
                self.volatile.recorder.due = Some(retry_at);
                self.volatile.last_failure = Some(failure.clone());
                self.recorder_failed(step, &call, failure, now)
            }
        }
    }

    fn input_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        failures: u32,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let mends = failure.class.may_pass();
        match call {
            Call::CreateLiveInput { attempt } if failure.class == Class::Conflict => {
                // The key's live input was deleted (`cloudflare-stream.md §1.2`): this try is over, for certain.
                self.volatile.input_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                self.volatile.input.rest();
                self.record(
                    step,
                    Fact::LiveInputRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::CreateLiveInput { .. } => {
                self.volatile.input_doubt |= failure.maybe_done;
                if self.durable.phase == Phase::Stopping {
                    let hopeless = !mends && self.volatile.input_doubt;
                    return if hopeless {
                        self.owe_input(step, now)
                    } else {
                        Ok(())
                    };
                }
                if mends {
                    return Ok(());
                }
                self.end(step, Outcome::of(failure), now)
            }
            Call::RotateKeys { .. } if failure.class == Class::NotFound => {
                self.record(step, Fact::LiveInputGone, now)?;
                if !self.durable.phase.holds_slot() {
                    return Ok(());
                }
                self.end(
                    step,
                    Outcome::of(failure).with_code(OutcomeCode::LiveInputGone),
                    now,
                )
            }
            Call::RotateKeys { .. } if !mends && self.durable.phase.holds_slot() => {
                self.end(step, Outcome::of(failure), now)
            }
            Call::DisableLiveInput { .. } | Call::FindLiveInput { .. }
                if !mends && self.durable.phase == Phase::Stopping =>
            {
                self.owe_input(step, now)
            }
            Call::FindLiveInput { .. } if !mends => self.end(step, Outcome::of(failure), now),
            Call::DeleteLiveInput { live_input } if !mends || failures >= DELETE_TRIES => self.owe(
                step,
                Owed::DeleteLiveInput {
                    uid: live_input.clone(),
                },
                now,
                None,
                now,
            ),
            // Tried again.
            Call::FindLiveInput { .. }
            | Call::RotateKeys { .. }
            | Call::DisableLiveInput { .. }
            | Call::DeleteLiveInput { .. } => Ok(()),
            // Calls about other things.
            Call::Acquire { .. }
            | Call::StartRecorder { .. }
            | Call::CreateConverter { .. }
            | Call::UpdateRecorder { .. }
            | Call::StopRecorder(_)
            | Call::LookAtFeed { .. }
            | Call::LookAtRecorder(_)
            | Call::LookAtHosts
            | Call::LookForRecordings { .. } => Ok(()),
        }
    }

    /// The live input, found or not, becomes a debt.
    fn owe_input(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let input = &self.durable.live_input;
        let owed = match (input.stage, input.uid.clone()) {
            (InputStage::Requested, _) => Owed::FindLiveInput {
                mark: self.durable.spec.mark(input.attempt).to_string(),
            },
            (InputStage::Ready, Some(uid)) => Owed::DisableLiveInput { uid },
            _ => return Ok(()),
        };
        self.owe(step, owed, now, None, now)
    }

    fn recorder_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let mends = failure.class.may_pass();
        let replacing = self.durable.phase.is_watched();
        match call {
            Call::StartRecorder { .. } | Call::CreateConverter { .. } | Call::Acquire { .. } => {
                let is_start = !matches!(call, Call::Acquire { .. });
                if is_start {
                    self.volatile.recorder_doubt |= failure.maybe_done;
                    // A start is made within 2 s of its acquire, unless it is the look for one that may have been made.
                    self.volatile.reacquire |= !self.volatile.recorder_doubt;
                }
                if self.durable.phase == Phase::Stopping {
                    let open =
                        self.durable.open_recorder().is_some() && self.volatile.recorder_doubt;
                    return if open && !mends {
                        self.owe_recorder(step, now, now)
                    } else {
                        Ok(())
                    };
                }
                if mends || (replacing && failure.class == Class::Quota) {
                    return Ok(());
                }
                let is_look = self.volatile.recorder_doubt
                    && failure.class == Class::Rejected
                    && matches!(call, Call::StartRecorder { .. });
                if is_look && !std::mem::replace(&mut self.volatile.look_refused, true) {
                    // Its resource was used, and what was started on it may be gone: another resource for the same
                    // recorder tells. That one's start is refused no second time without an end.
                    self.volatile.reacquire = true;
                    return Ok(());
                }
                let starting = self
                    .durable
                    .open_recorder()
                    .is_some_and(|r| r.stage == RecorderStage::Starting);
                if starting && !self.volatile.recorder_doubt {
                    self.record(
                        step,
                        Fact::RecorderGone {
                            proof: "its start was refused".into(),
                        },
                        now,
                    )?;
                }
                let outcome = Outcome::of(failure);
                let outcome = if replacing {
                    outcome.with_code(OutcomeCode::RecorderLost)
                } else {
                    outcome
                };
                self.end(step, outcome, now)
            }
            Call::StopRecorder(_) if !mends && self.durable.phase == Phase::Stopping => {
                self.owe_recorder(step, now, now)
            }
            Call::StopRecorder(_) if !mends => self.end(
                step,
                Outcome::of(failure).with_code(OutcomeCode::RecorderLost),
                now,
            ),
            // A stop is tried again; telling the target again is a favour.
            Call::StopRecorder(_) | Call::UpdateRecorder { .. } => Ok(()),
            // Calls about other things.
            Call::CreateLiveInput { .. }
            | Call::FindLiveInput { .. }
            | Call::RotateKeys { .. }
            | Call::DisableLiveInput { .. }
            | Call::DeleteLiveInput { .. }
            | Call::LookAtFeed { .. }
            | Call::LookAtRecorder(_)
            | Call::LookAtHosts
            | Call::LookForRecordings { .. } => Ok(()),
        }
    }

    fn acquired(
        &mut self,
        step: &mut Step,
        resource_id: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.recorder.rest();
        self.volatile.reacquire = false;
        self.volatile.prepaid = true;
        if self.durable.open_recorder().is_some() {
            return self.record(
                step,
                Fact::RecorderReacquired {
                    resource_id,
                    acquired_at: now,
                    in_doubt: self.volatile.recorder_doubt,
                },
                now,
            );
        }
        self.volatile.acquired = Some((resource_id, now));
        Ok(())
    }

    /// The recorder runs: from now on it is watched.
    pub(super) fn accepted(
        &mut self,
        step: &mut Step,
        sid: Option<String>,
        converter_id: Option<String>,
        jitter: Jitter,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::RecorderAccepted { sid, converter_id }, now)?;
        let timing = &self.durable.spec.timing;
        let query = timing.query_interval.min(std::time::Duration::from_secs(5));
        let volatile = &mut self.volatile;
        volatile.recorder.rest();
        volatile.recorder_doubt = false;
        volatile.watch.good = false;
        volatile.look_refused = false;
        volatile.misses = 0;
        volatile.updates = 0;
        volatile.health_looks = 0;
        volatile.health.due = Some(now + query + jitter.of(query) / 5);
        volatile.feed.due = Some(now);
        volatile.hosts.due = Some(now);
        Ok(())
    }

    /// The recorder is proved gone; where it was needed, another takes its place, behind new keys.
    pub(super) fn recorder_gone(
        &mut self,
        step: &mut Step,
        proof: &str,
        may_come_back: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let debt = self.recorder_debt().filter(|_| may_come_back);
        self.record(
            step,
            Fact::RecorderGone {
                proof: proof.into(),
            },
            now,
        )?;
        if let Some((owed, expires)) = debt {
            self.owe(step, owed, Self::recheck_at(now), expires, now)?;
        }
        self.volatile.misses = 0;
        self.volatile.recorder.rest();
        if !self.durable.phase.is_watched() {
            return Ok(());
        }
        if self.durable.replacements >= REPLACEMENTS {
            let outcome = Outcome {
                code: OutcomeCode::RecorderLost,
                detail: self.what_was_seen(now),
            };
            return self.end(step, outcome, now);
        }
        self.volatile.input.rest();
        self.record(step, Fact::RecorderReplacing, now)
    }

    /// Whether a look was at the recorder there is now.
    fn is_about_the_recorder(&self, call: &Call) -> bool {
        matches!(call, Call::LookAtRecorder(asked) if self.recorder_ref().as_ref() == Some(asked))
    }

    fn not_found(
        &mut self,
        step: &mut Step,
        call: &Call,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::FindLiveInput { attempt } => {
                self.volatile.input_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                self.volatile.input.rest();
                self.record(
                    step,
                    Fact::LiveInputRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::RotateKeys { .. } => {
                self.record(step, Fact::LiveInputGone, now)?;
                if !self.durable.phase.holds_slot() {
                    return Ok(());
                }
                self.end(step, Outcome::plain(OutcomeCode::LiveInputGone), now)
            }
            Call::DisableLiveInput { .. } | Call::DeleteLiveInput { .. } => {
                self.record(step, Fact::LiveInputGone, now)
            }
            Call::StopRecorder(_) if self.durable.phase == Phase::Stopping => {
                self.owe_recorder(step, Self::recheck_at(now), now)
            }
            Call::StopRecorder(_) => match self.missed(now) {
                Some(again) => {
                    self.volatile.recorder.due = Some(again);
                    Ok(())
                }
                None => self.recorder_gone(
                    step,
                    "Agora did not know it for the whole back-off",
                    true,
                    now,
                ),
            },
            Call::CreateLiveInput { .. }
            | Call::Acquire { .. }
            | Call::StartRecorder { .. }
            | Call::CreateConverter { .. }
            | Call::LookAtFeed { .. }
            | Call::LookAtRecorder(_)
            | Call::LookAtHosts
            | Call::UpdateRecorder { .. }
            | Call::LookForRecordings { .. } => Ok(()),
        }
    }

    /// Counts a 404 for the recorder. When to ask again; none: the back-off is used up, and it is gone.
    pub(super) fn missed(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let waits = &self.durable.spec.timing.not_found_backoff;
        let next = waits.get(self.volatile.misses).map(|wait| now + *wait);
        let since = match self.volatile.misses {
            0 => now,
            _ => self.volatile.missing_since.unwrap_or(now),
        };
        self.volatile.missing_since = Some(since);
        self.volatile.misses += 1;
        // A look out of turn (the feed was lost, a stop was tried) uses up a wait, but not its time.
        let over = since + waits.iter().sum::<std::time::Duration>();
        next.or_else(|| Some(over).filter(|over| now < *over))
    }

    fn recordings_read(
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
        let open = durable
            .videos
            .iter()
            .any(|video| video.state == VideoState::Processing);
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
    fn take_recordings(
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
    pub(super) fn late_recordings(
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

    /// Whether the relay's recorder is a Cloud Recording task.
    pub(super) fn is_cloud_recording(&self) -> bool {
        matches!(self.durable.spec.backend, Backend::CloudRecording { .. })
    }
}

impl Outcome {
    /// The same reason under another code.
    fn with_code(self, code: OutcomeCode) -> Self {
        let Self {
            code: _,
            detail:
                Detail {
                    failure,
                    seller,
                    recorder,
                    feed,
                },
        } = self;
        Self {
            code,
            detail: Detail {
                failure,
                seller,
                recorder,
                feed,
            },
        }
    }
}
