//! What the answer or the failure of a call on the egress means.

use chrono::{DateTime, Utc};

use crate::relay::Relay;
use crate::relay::action::Call;
use crate::relay::deadlines::REPLACEMENTS;
use crate::relay::fact::Fact;
use crate::relay::failure::{Class, Failure, Jitter};
use crate::relay::outcome::{Outcome, OutcomeCode};
use crate::relay::phase::{IllegalTransition, Phase};
use crate::relay::spec::Backend;
use crate::relay::state::EgressStage;
use crate::relay::step::Step;

impl Relay {
    pub(super) fn egress_failed(
        &mut self,
        step: &mut Step,
        call: &Call,
        failure: Failure,
        mends: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let replacing = self.durable.phase.is_watched();
        match call {
            Call::StartEgress { .. } | Call::CreateConverter { .. } | Call::Acquire { .. } => {
                let is_start = !matches!(call, Call::Acquire { .. });
                if is_start {
                    self.volatile.egress_doubt |= failure.maybe_done;
                    // A start is made within 2 s of its acquire, unless it is the poll for one that may have been made.
                    self.volatile.reacquire |= !self.volatile.egress_doubt;
                }
                if self.durable.phase == Phase::Stopping {
                    let open = self.durable.open_egress().is_some() && self.volatile.egress_doubt;
                    return if open && !mends {
                        self.defer_egress(step, now, now)
                    } else {
                        Ok(())
                    };
                }
                if mends {
                    return Ok(());
                }
                let is_poll = self.volatile.egress_doubt
                    && failure.class == Class::Rejected
                    && matches!(call, Call::StartEgress { .. });
                if is_poll && !std::mem::replace(&mut self.volatile.poll_refused, true) {
                    // Its resource was used, and what was started on it may be gone: another resource for the same
                    // egress tells. That one's start is refused no second time without an end.
                    self.volatile.reacquire = true;
                    return Ok(());
                }
                let starting = self
                    .durable
                    .open_egress()
                    .is_some_and(|r| r.stage == EgressStage::Starting);
                if starting && !self.volatile.egress_doubt {
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
            Call::StopEgress(_) if !mends && self.durable.phase == Phase::Stopping => {
                self.defer_egress(step, now, now)
            }
            Call::StopEgress(_) if !mends => self.end(
                step,
                Outcome::of(failure).with_code(OutcomeCode::EgressLost),
                now,
            ),
            // A stop is tried again; telling the target again is a favour.
            Call::StopEgress(_) | Call::UpdateEgress { .. } => Ok(()),
            // Calls about other things.
            Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::RotateKeys { .. }
            | Call::DisableIngest { .. }
            | Call::DeleteIngest { .. }
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::PollRecordings { .. } => Ok(()),
        }
    }

    pub(super) fn acquired(
        &mut self,
        step: &mut Step,
        resource_id: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.egress.rest();
        self.volatile.reacquire = false;
        if self.durable.open_egress().is_some() {
            return self.record(
                step,
                Fact::EgressReacquired {
                    resource_id,
                    acquired_at: now,
                    in_doubt: self.volatile.egress_doubt,
                },
                now,
            );
        }
        self.volatile.acquired = Some((resource_id, now));
        Ok(())
    }

    /// The egress runs: from now on it is watched.
    pub(in crate::relay) fn accepted(
        &mut self,
        step: &mut Step,
        sid: Option<String>,
        converter_id: Option<String>,
        jitter: Jitter,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::EgressAccepted { sid, converter_id }, now)?;
        let timing = &self.durable.spec.timing;
        let query = timing.query_interval.min(std::time::Duration::from_secs(5));
        let volatile = &mut self.volatile;
        volatile.egress.rest();
        volatile.egress_doubt = false;
        volatile.watch.good = false;
        volatile.poll_refused = false;
        volatile.resources_refused = 0;
        volatile.misses = 0;
        volatile.updates = 0;
        volatile.health_polls = 0;
        volatile.health.due = Some(now + query + jitter.of(query) / 5);
        volatile.feed.due = Some(now);
        volatile.hosts.due = Some(now);
        Ok(())
    }

    /// The egress is proved gone; where it was needed, another takes its place, behind new keys.
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
        for (owed, expires) in cleanup_jobs {
            self.defer(step, owed, self.recheck_at(now), expires, now)?;
        }
        self.volatile.misses = 0;
        self.volatile.egress.rest();
        if !self.durable.phase.is_watched() {
            return Ok(());
        }
        if self.durable.replacements >= REPLACEMENTS {
            let outcome = Outcome {
                code: OutcomeCode::EgressLost,
                detail: self.what_was_seen(now),
            };
            return self.end(step, outcome, now);
        }
        self.volatile.input.rest();
        self.record(step, Fact::EgressReplacing, now)
    }

    /// Whether a poll was at the egress there is now.
    pub(super) fn is_about_the_egress(&self, call: &Call) -> bool {
        matches!(call, Call::PollEgress(asked) if self.egress_ref().as_ref() == Some(asked))
    }

    /// Counts a 404 for the egress. When to ask again; none: the back-off is used up, and it is gone.
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

    /// Whether the relay's egress is a Cloud Recording task.
    pub(in crate::relay) fn is_cloud_recording(&self) -> bool {
        matches!(self.durable.spec.backend, Backend::CloudRecording { .. })
    }
}
