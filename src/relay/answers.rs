//! What the results of calls mean.

mod egress;
mod ingest;
mod recordings;

use std::time::Duration;

use chrono::{DateTime, Utc};
use strum::IntoEnumIterator;

use super::Relay;
use super::action::{ActionId, Call};
use super::event::Answer;
use super::fact::Fact;
use super::failure::{Class, Failure, Jitter, back_off, doubled};
use super::outcome::{Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::step::{Ignored, Step};
use super::volatile::Kind;

/// The least time between two calls of which both may be refused for their credentials.
const REFUSED_AGAIN: Duration = Duration::from_secs(1);

/// When something that the vendor refused is tried with a new name: at once, as that is expected to do, and ever later when
/// that is refused as well. Counts the refusals in a row.
fn due_anew(
    refused: &mut u32,
    first: Duration,
    jitter: Jitter,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let wait = doubled(first, *refused, jitter);
    let due = (*refused > 0).then_some(now + wait);
    *refused = refused.saturating_add(1);
    due
}

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
        let slot = self.volatile.slot(kind);
        slot.failures = 0;
        slot.refused.take_if(|name| *name == <&str>::from(&call));
        self.volatile.jitter = jitter;
        self.volatile.called |= !matches!(answer, Answer::Acquired { .. });
        self.let_go(kind);
        self.space_out(kind, now);
        match answer {
            Answer::Ingest {
                uid,
                hls_url,
                dash_url,
                echo_differs,
            } => {
                self.volatile.input_doubt = false;
                self.volatile.keys_refused = 0;
                self.volatile.input.rest();
                self.record(
                    step,
                    Fact::IngestReady {
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
                self.record(step, Fact::EgressElsewhere, now)?;
                self.accepted(step, None, None, jitter, now)
            }
            Answer::Converting { converter_id } => {
                self.accepted(step, None, Some(converter_id), jitter, now)
            }
            Answer::ResourceExpired => {
                let first = self.first_wait();
                let volatile = &mut self.volatile;
                volatile.reacquire = true;
                volatile.egress.rest();
                volatile.egress.due = due_anew(&mut volatile.resources_refused, first, jitter, now);
                Ok(())
            }
            Answer::KeysRotated => {
                self.volatile.input.rest();
                self.record(step, Fact::KeysRotated, now)
            }
            Answer::Feed(reading) => self.feed_read(step, reading, now),
            Answer::NotYetPlayable => {
                self.volatile.watch.good = false;
                self.volatile.watch.last = Some("not yet playable");
                Ok(())
            }
            // A slow look at an egress that another has replaced meanwhile says nothing of that one.
            Answer::Egress(_) if !self.is_about_the_egress(&call) => {
                step.ignored = Some(Ignored::Stale);
                Ok(())
            }
            Answer::Egress(reading) => self.egress_read(step, reading, now),
            Answer::Hosts { present } => self.hosts_read(step, present, now),
            Answer::Updated => {
                self.volatile.egress.rest();
                self.volatile
                    .health
                    .hasten(now + self.durable.spec.timing.poll_interval);
                Ok(())
            }
            Answer::Stopped => {
                self.volatile.egress.rest();
                self.egress_gone(step, "its stop was answered", false, now)
            }
            Answer::Disabled => self.record(step, Fact::IngestDisabled, now),
            Answer::Deleted => self.record(step, Fact::IngestGone, now),
            Answer::NotFound => self.not_found(step, &call, now),
            Answer::Recordings(recordings) => self.recordings_read(step, recordings, now),
        }
    }

    /// A deadline held back is let go by an answer: of a watched relay, by one on its feed or its seller, and when the
    /// other is not being asked for. The feed comes first, and says nothing of a seller who is back.
    fn let_go(&mut self, kind: Kind) {
        let seen = matches!(kind, Kind::Feed | Kind::Hosts) || !self.durable.phase.is_watched();
        if seen && !self.is_polling() {
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
        self.volatile.jitter = jitter;
        self.volatile.called |= !failure.is_own_budget();
        let slot = self.volatile.slot(kind);
        slot.failures += 1;
        let failures = slot.failures;
        if failure.class != Class::Unauthorized {
            slot.refused.take_if(|name| *name == <&str>::from(&call));
        }
        let mut wait = back_off(self.first_wait(), failures, jitter, &failure);
        if failure.class == Class::Unauthorized {
            wait = wait.max(REFUSED_AGAIN);
        }
        let retry_at = now + wait;
        let mends = self.is_tried_again(kind, &call, failure.class);
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
                self.input_failed(step, &call, failure, (mends, failures), now)
            }
            Kind::Egress => {
                self.volatile.egress.due = Some(retry_at);
                self.volatile.last_failure = Some(failure.clone());
                self.egress_failed(step, &call, failure, mends, now)
            }
        }
    }

    /// The wait after a first failure.
    fn first_wait(&self) -> Duration {
        let poll = self.durable.spec.timing.poll_interval;
        poll.min(Duration::from_secs(1))
    }

    /// Whether a call that failed is made again. Vendors refuse good credentials now and then, so a refusal counts only
    /// while the relay is provisioned, and only when the same call was refused twice in a row. A relay that is on air goes
    /// on until a deadline ends it, and one that is taken down until its patience is over.
    fn is_tried_again(&mut self, kind: Kind, call: &Call, class: Class) -> bool {
        if self.durable.phase.is_watched() && self.serves_a_replacement(call) {
            return true;
        }
        if class == Class::Quota {
            // Other relays end and make room; one that is on air waits for it.
            return self.durable.phase.is_watched();
        }
        if class != Class::Unauthorized {
            return class.may_pass();
        }
        let name: &'static str = call.into();
        let before = self.volatile.slot(kind).refused.replace(name);
        self.durable.phase != Phase::Provisioning || before != Some(name)
    }

    /// Whether a call of a relay on air is for an egress that takes another's place. Whatever such a call is refused for, the
    /// relay goes on until a deadline ends it. A start that may have been carried out is judged by itself.
    fn serves_a_replacement(&self, call: &Call) -> bool {
        match call {
            Call::RotateKeys { .. } | Call::Acquire { .. } | Call::CreateConverter { .. } => true,
            Call::StartEgress { .. } => !self.volatile.egress_doubt,
            Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::UpdateEgress { .. }
            | Call::StopEgress(_)
            | Call::DisableIngest { .. }
            | Call::PollRecordings { .. }
            | Call::DeleteIngest { .. } => false,
        }
    }

    fn not_found(
        &mut self,
        step: &mut Step,
        call: &Call,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::FindIngest { attempt } => {
                self.volatile.input_doubt = false;
                if self.durable.phase == Phase::Stopping {
                    return Ok(());
                }
                self.volatile.input.rest();
                self.record(
                    step,
                    Fact::IngestRequested {
                        attempt: attempt + 1,
                    },
                    now,
                )
            }
            Call::RotateKeys { .. } => {
                self.record(step, Fact::IngestGone, now)?;
                if !self.durable.phase.holds_slot() {
                    return Ok(());
                }
                self.end(step, Outcome::plain(OutcomeCode::IngestGone), now)
            }
            Call::DisableIngest { .. } | Call::DeleteIngest { .. } => {
                self.record(step, Fact::IngestGone, now)
            }
            Call::PollFeed { .. } => self.ingest_missing(step, now),
            Call::StopEgress(_) if self.durable.phase == Phase::Stopping => {
                self.defer_egress(step, self.recheck_at(now), now)
            }
            Call::StopEgress(_) => match self.missed(now) {
                Some(again) => {
                    self.volatile.egress.due = Some(again);
                    Ok(())
                }
                None => self.egress_gone(
                    step,
                    "Agora did not know it for the whole back-off",
                    true,
                    now,
                ),
            },
            Call::CreateIngest { .. }
            | Call::Acquire { .. }
            | Call::StartEgress { .. }
            | Call::CreateConverter { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::UpdateEgress { .. }
            | Call::PollRecordings { .. } => Ok(()),
        }
    }
}
