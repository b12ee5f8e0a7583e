//! What the results of calls mean.

mod egress;
mod ingest;
mod recordings;

use std::time::Duration;

use chrono::{DateTime, Utc};
use strum::IntoEnumIterator;

use super::Relay;
use super::action::{ActionId, Call};
use super::cleanup_job::Cleanup;
use super::event::Answer;
use super::fact::Fact;
use super::failure::{Class, Failure, Jitter, back_off, doubled};
use super::outcome::{Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::spec::IngestOwner;
use super::state::KeptIngest;
use super::step::{Ignored, Step};
use super::volatile::Lane;

/// Minimum wait after refused credentials.
const MIN_REFUSED_WAIT: Duration = Duration::from_secs(1);

/// When to retry with a new name: at once, then with a growing wait.
fn retry_renamed(
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
    fn take_in_flight(&mut self, action: ActionId) -> Option<(Lane, Call)> {
        Lane::iter().find_map(|lane| {
            let in_flight = &mut self.volatile.lane_mut(lane).in_flight;
            let (_, call) = in_flight.take_if(|(id, _)| *id == action)?;
            Some((lane, call))
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
        let Some((lane, call)) = self.take_in_flight(action) else {
            step.ignored = Some(Ignored::Stale);
            return Ok(());
        };
        let state = self.volatile.lane_mut(lane);
        state.failures = 0;
        state.refused.take_if(|name| *name == <&str>::from(&call));
        self.volatile.jitter = jitter;
        self.volatile.reached_vendor |= !matches!(
            answer,
            Answer::EgressPrepared(_) | Answer::Claimed { .. } | Answer::NothingKept
        );
        self.release_hold(lane);
        self.spread_next(lane, now);
        match answer {
            Answer::Ingest {
                id,
                hls_url,
                dash_url,
                settings_refused,
                others,
            } => {
                self.volatile.ingest_in_doubt = false;
                self.volatile.ingests_missed = 0;
                self.volatile.ingest.reset();
                // What a relay finds while stopping is removed with it.
                let kept = self.durable.spec.ingest_owner == IngestOwner::Channel
                    && self.durable.phase == Phase::Provisioning;
                self.record(
                    step,
                    Fact::IngestReady {
                        id,
                        hls_url,
                        dash_url,
                        settings_refused,
                        kept: kept.then(|| KeptIngest::fresh(now)),
                        key_stale: false,
                    },
                    now,
                )?;
                for id in others {
                    self.defer(step, Cleanup::RemoveIngest { id }, now, None, now)?;
                }
                Ok(())
            }
            Answer::Claimed {
                id,
                hls_url,
                dash_url,
                key_stale,
                kept,
            } => {
                self.volatile.ingest.reset();
                self.record(
                    step,
                    Fact::IngestReady {
                        id,
                        hls_url,
                        dash_url,
                        settings_refused: Vec::new(),
                        kept: Some(kept),
                        key_stale,
                    },
                    now,
                )
            }
            Answer::NothingKept => {
                self.volatile.ingest.reset();
                self.volatile.nothing_kept = true;
                Ok(())
            }
            Answer::BroadcastEnded { session } => {
                self.volatile.ingest.reset();
                self.record(step, Fact::BroadcastEnded { session }, now)
            }
            Answer::EgressPrepared(handle) => self.prepared(step, handle, now),
            Answer::EgressRunning(handle) => self.accepted(step, handle, jitter, now),
            Answer::EgressElsewhere => {
                self.record(step, Fact::EgressElsewhere, now)?;
                self.accepted(step, None, jitter, now)
            }
            Answer::PreparationExpired => {
                let first = self.first_wait();
                let volatile = &mut self.volatile;
                volatile.prepare_again = true;
                volatile.egress.reset();
                volatile.egress.due =
                    retry_renamed(&mut volatile.preparations_refused, first, jitter, now);
                Ok(())
            }
            Answer::KeyRenewed => {
                self.volatile.ingest.reset();
                self.record(step, Fact::KeyRenewed, now)
            }
            Answer::Feed(reading) => self.feed_read(step, reading, now),
            Answer::NotYetWatchable => {
                self.volatile.feed.good = false;
                self.volatile.feed.last = Some("not yet playable");
                Ok(())
            }
            // That egress was replaced meanwhile.
            Answer::Egress(_) if !self.is_about_the_egress(&call) => {
                step.ignored = Some(Ignored::Stale);
                Ok(())
            }
            Answer::Egress(reading) => self.egress_read(step, reading, now),
            Answer::Hosts { present } => self.hosts_read(step, present, now),
            Answer::Updated => {
                self.volatile.egress.reset();
                self.volatile
                    .egress_poll
                    .bring_forward(now + self.durable.spec.timing.poll_interval);
                Ok(())
            }
            Answer::Stopped => {
                self.volatile.egress.reset();
                self.egress_gone(step, "it was stopped", false, now)
            }
            Answer::Closed => self.record(step, Fact::IngestClosed, now),
            Answer::Removed => self.record(step, Fact::IngestGone, now),
            Answer::StillLive { retry_after } => self.still_live(step, &call, retry_after, now),
            Answer::NotFound => self.not_found(step, &call, now),
            Answer::Recordings(recordings) => self.recordings_read(step, recordings, now),
        }
    }

    /// Lets deadlines fire again. A watched relay needs an answer about feed or seller, and no poll in flight: the
    /// feed's comes first and cannot tell that the seller is back.
    fn release_hold(&mut self, lane: Lane) {
        let seen =
            matches!(lane, Lane::FeedPoll | Lane::HostsPoll) || !self.durable.phase.is_watched();
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
        let Some((lane, call)) = self.take_in_flight(action) else {
            step.ignored = Some(Ignored::Stale);
            return Ok(());
        };
        self.volatile.jitter = jitter;
        self.volatile.reached_vendor |= !failure.is_own_budget();
        let state = self.volatile.lane_mut(lane);
        state.failures += 1;
        let failures = state.failures;
        if failure.class != Class::Unauthorized {
            state.refused.take_if(|name| *name == <&str>::from(&call));
        }
        let mut wait = back_off(self.first_wait(), failures, jitter, &failure);
        if failure.class == Class::Unauthorized {
            wait = wait.max(MIN_REFUSED_WAIT);
        }
        let retry_at = now + wait;
        let retry = self.will_retry(lane, &call, failure.class);
        match lane {
            // A failed poll is no reading. The next one keeps its time, unless the vendor asks to wait.
            Lane::FeedPoll | Lane::EgressPoll | Lane::HostsPoll | Lane::RecordingsPoll => {
                let asked = failure.retry_after_ms.map(|_| retry_at);
                let state = self.volatile.lane_mut(lane);
                state.due = state.due.max(asked);
                // The last reading is too old to go live on.
                self.volatile.feed.good &= lane != Lane::FeedPoll;
                self.go_live_if_watchable(step, now)
            }
            Lane::Ingest => {
                self.volatile.ingest.due = Some(retry_at);
                self.volatile.last_failure = Some(failure.clone());
                self.ingest_failed(step, &call, failure, (retry, failures), now)
            }
            Lane::Egress => {
                self.volatile.egress.due = Some(retry_at);
                self.volatile.last_failure = Some(failure.clone());
                self.egress_failed(step, &call, failure, retry, now)
            }
        }
    }

    fn first_wait(&self) -> Duration {
        let poll = self.durable.spec.timing.poll_interval;
        poll.min(Duration::from_secs(1))
    }

    /// Whether a failed call is retried. Vendors sometimes refuse valid credentials: two refusals in a row end a relay
    /// in `provisioning`; later, a deadline decides.
    fn will_retry(&mut self, lane: Lane, call: &Call, class: Class) -> bool {
        if self.durable.phase.is_watched() && self.serves_a_replacement(call) {
            return true;
        }
        if class == Class::Quota {
            // Other relays end and free quota.
            return self.durable.phase.is_watched();
        }
        if class != Class::Unauthorized {
            return class.is_transient();
        }
        let name: &'static str = call.into();
        let before = self.volatile.lane_mut(lane).refused.replace(name);
        self.durable.phase != Phase::Provisioning || before != Some(name)
    }

    /// Whether a call is for a replacement egress: its refusal does not end a relay on air; a deadline does. A start in
    /// doubt on a preparation is handled on its own.
    fn serves_a_replacement(&self, call: &Call) -> bool {
        match call {
            Call::RenewIngestKey { .. } | Call::PrepareEgress { .. } => true,
            Call::StartEgress { preparation, .. } => {
                preparation.is_none() || !self.volatile.egress_in_doubt
            }
            Call::ClaimIngest
            | Call::CreateIngest { .. }
            | Call::FindIngest { .. }
            | Call::EndBroadcast { .. }
            | Call::PollFeed { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::UpdateEgress { .. }
            | Call::StopEgress(_)
            | Call::CloseIngest { .. }
            | Call::PollRecordings { .. }
            | Call::RemoveIngest { .. } => false,
        }
    }

    fn not_found(
        &mut self,
        step: &mut Step,
        call: &Call,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match call {
            Call::FindIngest { attempt } => self.ingest_not_found(step, *attempt, now),
            Call::RenewIngestKey { .. } | Call::EndBroadcast { .. } => {
                self.ingest_lost(step, Outcome::plain(OutcomeCode::IngestGone), now)
            }
            Call::CloseIngest { .. } | Call::RemoveIngest { .. } => {
                self.record(step, Fact::IngestGone, now)
            }
            Call::PollFeed { .. } => self.ingest_missing(step, now),
            Call::StopEgress(_) if self.durable.phase == Phase::Stopping => {
                self.defer_egress(step, self.recheck_at(now), now)
            }
            Call::StopEgress(_) => match self.count_not_found(now) {
                Some(again) => {
                    self.volatile.egress.due = Some(again);
                    Ok(())
                }
                None => {
                    self.egress_gone(step, "Agora answered 404 for the whole back-off", true, now)
                }
            },
            Call::ClaimIngest
            | Call::CreateIngest { .. }
            | Call::PrepareEgress { .. }
            | Call::StartEgress { .. }
            | Call::PollEgress(_)
            | Call::PollHosts
            | Call::UpdateEgress { .. }
            | Call::PollRecordings { .. } => Ok(()),
        }
    }
}
