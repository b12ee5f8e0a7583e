//! What a failed call on the ingest means.

use chrono::{DateTime, Utc};

use super::due_anew;
use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::cleanup_job::Cleanup;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::IngestStage;
use crate::relay::step::Step;

/// So many failures of a deletion, and it becomes a cleanup job.
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
            Call::CreateIngest { attempt } if failure.class == Class::Conflict => {
                // The key's ingest was deleted (`cloudflare-stream.md §2.3`): this try is over, for certain.
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
                    Fact::IngestRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::CreateIngest { .. } => {
                self.volatile.input_doubt |= failure.maybe_done;
                if self.durable.phase == Phase::Stopping {
                    let hopeless = !mends && self.volatile.input_doubt;
                    return if hopeless {
                        self.defer_ingest(step, now)
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
                self.record(step, Fact::IngestGone, now)?;
                if !self.durable.phase.holds_slot() {
                    return Ok(());
                }
                self.end(
                    step,
                    Outcome::of(failure).with_code(OutcomeCode::IngestGone),
                    now,
                )
            }
            Call::RotateKeys { .. } if !mends && self.durable.phase.holds_slot() => {
                self.end(step, Outcome::of(failure), now)
            }
            Call::DisableIngest { .. } | Call::FindIngest { .. }
                if !mends && self.durable.phase == Phase::Stopping =>
            {
                self.defer_ingest(step, now)
            }
            Call::FindIngest { .. } if !mends => self.end(step, Outcome::of(failure), now),
            Call::DeleteIngest { ingest } if !mends || failures >= DELETE_TRIES => self.defer(
                step,
                Cleanup::DeleteIngest {
                    uid: ingest.clone(),
                },
                now,
                None,
                now,
            ),
            // Tried again.
            Call::FindIngest { .. }
            | Call::RotateKeys { .. }
            | Call::DisableIngest { .. }
            | Call::DeleteIngest { .. } => Ok(()),
            // Calls about other things.
            Call::Acquire { .. }
            | Call::StartEgress { .. }
            | Call::CreateConverter { .. }
            | Call::UpdateEgress { .. }
            | Call::StopEgress(_)
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::PollRecordings { .. } => Ok(()),
        }
    }

    /// The ingest, found or not, becomes a cleanup job.
    pub(super) fn defer_ingest(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let input = &self.durable.ingest;
        let owed = match (input.stage, input.uid.clone()) {
            (IngestStage::Requested, _) => Cleanup::FindIngest {
                tag: self.durable.spec.tag(input.attempt).to_string(),
            },
            (IngestStage::Ready, Some(uid)) => Cleanup::DisableIngest { uid },
            _ => return Ok(()),
        };
        self.defer(step, owed, now, None, now)
    }
}
