//! What failures of calls on the ingest mean.

use chrono::{DateTime, Utc};

use super::retry_renamed;
use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::cleanup_job::Cleanup;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::IngestStage;
use crate::relay::step::Step;

/// The deletion then becomes a cleanup job.
const MAX_DELETE_TRIES: u32 = 3;

impl Relay {
    pub(super) fn ingest_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        (retry, failures): (bool, u32),
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::CreateIngest { attempt } if failure.class == Class::Conflict => {
                // The key's ingest was deleted (`cloudflare-stream.md §2.3`): this attempt created nothing.
                self.volatile.ingest_in_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                let (first, jitter) = (self.first_wait(), self.volatile.jitter);
                let due = retry_renamed(&mut self.volatile.keys_refused, first, jitter, now);
                self.volatile.ingest.reset();
                self.volatile.ingest.due = due;
                self.record(
                    step,
                    Fact::IngestRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::CreateIngest { .. } => {
                self.volatile.ingest_in_doubt |= failure.maybe_done;
                if self.durable.phase == Phase::Stopping {
                    let hopeless = !retry && self.volatile.ingest_in_doubt;
                    return if hopeless {
                        self.defer_ingest(step, now)
                    } else {
                        Ok(())
                    };
                }
                if retry {
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
            Call::DisableIngest { .. } | Call::FindIngest { .. }
                if !retry && self.durable.phase == Phase::Stopping =>
            {
                self.defer_ingest(step, now)
            }
            Call::FindIngest { .. } if !retry => self.end(step, Outcome::of(failure), now),
            Call::DeleteIngest { ingest } if !retry || failures >= MAX_DELETE_TRIES => self.defer(
                step,
                Cleanup::DeleteIngest {
                    uid: ingest.clone(),
                },
                now,
                None,
                now,
            ),
            // Retried.
            Call::FindIngest { .. }
            | Call::RotateKeys { .. }
            | Call::DisableIngest { .. }
            | Call::DeleteIngest { .. } => Ok(()),
            // Other lanes.
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

    pub(super) fn defer_ingest(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let ingest = &self.durable.ingest;
        let cleanup = match (ingest.stage, ingest.uid.clone()) {
            (IngestStage::Requested, _) => Cleanup::FindIngest {
                tag: self.durable.spec.tag(ingest.attempt).to_string(),
            },
            (IngestStage::Ready, Some(uid)) => Cleanup::DisableIngest { uid },
            _ => return Ok(()),
        };
        self.defer(step, cleanup, now, None, now)
    }
}
