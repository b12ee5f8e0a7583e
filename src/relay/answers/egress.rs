//! What the results of calls on the egress mean.

use chrono::{DateTime, Utc};

use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::deadlines::MAX_REPLACEMENTS;
use crate::relay::egress::{EgressHandle, Preparation};
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure, Jitter};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::state::EgressStage;
use crate::relay::step::Step;

impl Relay {
    pub(super) fn egress_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        retry: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let replacing = self.durable.phase.is_watched();
        match call {
            Call::StartEgress { .. } | Call::PrepareEgress { .. } => {
                if matches!(call, Call::StartEgress { .. }) {
                    self.volatile.egress_in_doubt |= failure.maybe_done;
                    // A start needs a fresh preparation, unless it repeats one in doubt.
                    self.volatile.prepare_again |= !self.volatile.egress_in_doubt;
                }
                if self.durable.phase == Phase::Stopping {
                    let open =
                        self.durable.open_egress().is_some() && self.volatile.egress_in_doubt;
                    return if open && !retry {
                        self.defer_egress(step, now, now)
                    } else {
                        Ok(())
                    };
                }
                if retry {
                    return Ok(());
                }
                let is_repeat = self.volatile.egress_in_doubt
                    && failure.class == Class::Rejected
                    && matches!(
                        call,
                        Call::StartEgress {
                            preparation: Some(_),
                            ..
                        }
                    );
                if is_repeat && !std::mem::replace(&mut self.volatile.start_repeat_refused, true) {
                    // The preparation is used up, and its egress may be gone: a start on another tells. A second refusal
                    // ends the relay.
                    self.volatile.prepare_again = true;
                    return Ok(());
                }
                let starting = self
                    .durable
                    .open_egress()
                    .is_some_and(|r| r.stage == EgressStage::Starting);
                if starting && !self.volatile.egress_in_doubt {
                    self.record(
                        step,
                        Fact::EgressGone {
                            proof: "its start was refused".into(),
                        },
                        now,
                    )?;
                }
                let outcome = Outcome::of(failure);
                let outcome = if replacing {
                    outcome.with_code(OutcomeCode::EgressLost)
                } else {
                    outcome
                };
                self.end(step, outcome, now)
            }
            Call::StopEgress(_) if !retry && self.durable.phase == Phase::Stopping => {
                self.defer_egress(step, now, now)
            }
            Call::StopEgress(_) if !retry => self.end(
                step,
                Outcome::of(failure).with_code(OutcomeCode::EgressLost),
                now,
            ),
            // A stop is retried; an update need not be.
            Call::StopEgress(_) | Call::UpdateEgress { .. } => Ok(()),
            // Other lanes.
            Call::ClaimIngest
            | Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::EndBroadcast { .. }
            | Call::RenewIngestKey { .. }
            | Call::CloseIngest { .. }
            | Call::RemoveIngest { .. }
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::PollRecordings { .. } => Ok(()),
        }
    }

    pub(super) fn prepared(
        &mut self,
        step: &mut Step,
        handle: EgressHandle,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.egress.reset();
        self.volatile.prepare_again = false;
        let preparation = Preparation { handle, at: now };
        if self.durable.open_egress().is_some() {
            return self.record(
                step,
                Fact::EgressReprepared {
                    preparation,
                    in_doubt: self.volatile.egress_in_doubt,
                },
                now,
            );
        }
        self.volatile.prepared = Some(preparation);
        Ok(())
    }

    pub(in crate::relay) fn accepted(
        &mut self,
        step: &mut Step,
        handle: Option<EgressHandle>,
        jitter: Jitter,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::EgressAccepted { handle }, now)?;
        let timing = &self.durable.spec.timing;
        let query = timing.query_interval.min(std::time::Duration::from_secs(5));
        let volatile = &mut self.volatile;
        volatile.egress.reset();
        volatile.egress_in_doubt = false;
        volatile.feed.good = false;
        volatile.start_repeat_refused = false;
        volatile.preparations_refused = 0;
        volatile.not_found_count = 0;
        volatile.updates = 0;
        volatile.egress_polls = 0;
        volatile.egress_poll.due = Some(now + query + jitter.of(query) / 5);
        volatile.feed_poll.due = Some(now);
        volatile.hosts_poll.due = Some(now);
        Ok(())
    }

    /// A relay on air replaces the egress.
    pub(in crate::relay) fn egress_gone(
        &mut self,
        step: &mut Step,
        proof: &str,
        may_come_back: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let cleanup_jobs = match may_come_back {
            true => self.egress_cleanup_jobs(),
            false => Vec::new(),
        };
        self.record(
            step,
            Fact::EgressGone {
                proof: proof.into(),
            },
            now,
        )?;
        for (cleanup, expires) in cleanup_jobs {
            self.defer(step, cleanup, self.recheck_at(now), expires, now)?;
        }
        self.volatile.not_found_count = 0;
        self.volatile.egress.reset();
        if !self.durable.phase.is_watched() {
            return Ok(());
        }
        // Without a new key, an egress that comes back would publish beside the next.
        let unsafe_to_replace = may_come_back && !self.durable.spec.capabilities.renews_key;
        if unsafe_to_replace || self.durable.replacements >= MAX_REPLACEMENTS {
            let outcome = Outcome {
                code: OutcomeCode::EgressLost,
                detail: self.observations(now),
            };
            return self.end(step, outcome, now);
        }
        self.volatile.ingest.reset();
        self.record(step, Fact::EgressReplacing, now)
    }

    pub(super) fn is_about_the_egress(&self, call: &Call) -> bool {
        matches!(call, Call::PollEgress(asked) if self.egress_ref().as_ref() == Some(asked))
    }

    /// Counts a 404 and returns when to poll again. `None`: the egress counts as gone.
    pub(in crate::relay) fn count_not_found(
        &mut self,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let waits = &self.durable.spec.timing.not_found_backoff;
        let next = waits
            .get(self.volatile.not_found_count)
            .map(|wait| now + *wait);
        let since = match self.volatile.not_found_count {
            0 => now,
            _ => self.volatile.not_found_since.unwrap_or(now),
        };
        self.volatile.not_found_since = Some(since);
        self.volatile.not_found_count += 1;
        // A poll out of turn uses up one of the waits, but not its time.
        let over = since + waits.iter().sum::<std::time::Duration>();
        next.or_else(|| Some(over).filter(|over| now < *over))
    }
}
