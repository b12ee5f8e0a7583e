//! What the answer or the failure of a call on the recorder means.

use chrono::{DateTime, Utc};

use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::deadlines::REPLACEMENTS;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure, Jitter};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::spec::Backend;
use crate::relay::state::RecorderStage;
use crate::relay::step::Step;

impl Relay {
    pub(super) fn recorder_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        mends: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
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
                if mends {
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

    pub(super) fn acquired(
        &mut self,
        step: &mut Step,
        resource_id: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.recorder.rest();
        self.volatile.reacquire = false;
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
    pub(in crate::relay) fn accepted(
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
        volatile.resources_refused = 0;
        volatile.misses = 0;
        volatile.updates = 0;
        volatile.health_looks = 0;
        volatile.health.due = Some(now + query + jitter.of(query) / 5);
        volatile.feed.due = Some(now);
        volatile.hosts.due = Some(now);
        Ok(())
    }

    /// The recorder is proved gone; where it was needed, another takes its place, behind new keys.
    pub(in crate::relay) fn recorder_gone(
        &mut self,
        step: &mut Step,
        proof: &str,
        may_come_back: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let debts = match may_come_back {
            true => self.recorder_debts(),
            false => Vec::new(),
        };
        self.record(
            step,
            Fact::RecorderGone {
                proof: proof.into(),
            },
            now,
        )?;
        for (owed, expires) in debts {
            self.owe(step, owed, self.recheck_at(now), expires, now)?;
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
    pub(super) fn is_about_the_recorder(&self, call: &Call) -> bool {
        matches!(call, Call::LookAtRecorder(asked) if self.recorder_ref().as_ref() == Some(asked))
    }

    /// Counts a 404 for the recorder. When to ask again; none: the back-off is used up, and it is gone.
    pub(in crate::relay) fn missed(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
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

    /// Whether the relay's recorder is a Cloud Recording task.
    pub(in crate::relay) fn is_cloud_recording(&self) -> bool {
        matches!(self.durable.spec.backend, Backend::CloudRecording { .. })
    }
}
