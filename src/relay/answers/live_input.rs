//! What a failed call on the live input means.

use chrono::{DateTime, Utc};

use super::due_anew;
use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::debt::Owed;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::InputStage;
use crate::relay::step::Step;

/// So many failures of a deletion, and it becomes a debt.
const DELETE_TRIES: u32 = 3;

impl Relay {
    pub(super) fn input_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        (mends, failures): (bool, u32),
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::CreateLiveInput { attempt } if failure.class == Class::Conflict => {
                // The key's live input was deleted (`cloudflare-stream.md §2.3`): this try is over, for certain.
                self.volatile.input_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                let (first, jitter) = (self.first_wait(), self.volatile.jitter);
                let due = due_anew(&mut self.volatile.keys_refused, first, jitter, now);
                self.volatile.input.rest();
                self.volatile.input.due = due;
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
    pub(super) fn owe_input(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
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
}
