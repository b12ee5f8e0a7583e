//! The planner: derives the next call of each lane from the state alone, so a first attempt, a retry and a recovery
//! follow the same rules.

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::action::{Call, NextCall};
use super::capabilities::{CreateRepeat, Reconnect};
use super::egress::{EgressRef, Preparation, Prepare};
use super::phase::Phase;
use super::spec::IngestOwner;
use super::state::{Egress, EgressStage, IngestStage};
use super::volatile::Lane;

/// How long closing the ingest waits for the stop of the egress.
const STOP_FIRST: TimeDelta = TimeDelta::seconds(5);

impl Relay {
    pub(super) fn next_call(&self, lane: Lane, now: DateTime<Utc>) -> Option<NextCall> {
        let state = self.volatile.lane(lane);
        if state.in_flight.is_some() {
            return None;
        }
        let (call, not_before) = match lane {
            Lane::Ingest => self.next_ingest_call(now),
            Lane::Egress => self.next_egress_call(now),
            Lane::FeedPoll => self.next_feed_poll(now),
            Lane::EgressPoll => self.next_egress_poll(),
            Lane::HostsPoll => self.next_hosts_poll(),
            Lane::RecordingsPoll => self.next_recordings_poll(),
        }?;
        Some(NextCall {
            call,
            due: state.due.into_iter().chain(not_before).max().unwrap_or(now),
        })
    }

    fn next_ingest_call(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let ingest = &self.durable.ingest;
        let id = || ingest.id.clone();
        match (self.durable.phase, ingest.stage) {
            (Phase::Provisioning, IngestStage::Unrequested) if self.may_have_kept() => {
                Some((Call::ClaimIngest, None))
            }
            (Phase::Provisioning, IngestStage::Unrequested) => Some((
                Call::CreateIngest {
                    attempt: ingest.attempt,
                },
                None,
            )),
            (Phase::Provisioning | Phase::Stopping, IngestStage::Requested)
                if self.must_look_up(now) =>
            {
                Some((
                    Call::FindIngest {
                        attempt: ingest.attempt,
                    },
                    None,
                ))
            }
            (Phase::Provisioning | Phase::Stopping, IngestStage::Requested) => Some((
                Call::CreateIngest {
                    attempt: ingest.attempt,
                },
                None,
            )),
            (
                Phase::Provisioning | Phase::AwaitingLive | Phase::Live | Phase::Interrupted,
                IngestStage::Ready,
            ) if ingest.key_stale => Some((Call::RenewIngestKey { ingest: id()? }, None)),
            (Phase::Provisioning, IngestStage::Ready) if self.must_end_broadcast() => {
                Some((Call::EndBroadcast { ingest: id()? }, None))
            }
            (Phase::Stopping, IngestStage::Ready) if ingest.kept.is_some() => {
                let wait = self.renew_before_release()?;
                Some((Call::RenewIngestKey { ingest: id()? }, wait))
            }
            (Phase::Stopping, IngestStage::Ready) => {
                let open = self.durable.open_egress().is_some();
                let patient = open && self.volatile.egress.failures == 0;
                // Only closing keeps an egress left to a cleanup job from publishing.
                let urgent = self
                    .durable
                    .egress
                    .as_ref()
                    .is_some_and(|egress| egress.stage != EgressStage::Settled);
                let wait = self
                    .durable
                    .stopped_at
                    .filter(|_| patient)
                    .map(|at| at + STOP_FIRST);
                Some((
                    Call::CloseIngest {
                        ingest: id()?,
                        urgent,
                    },
                    wait,
                ))
            }
            (Phase::Finalizing, IngestStage::Closed)
                if self.durable.recordings_settled && !self.durable.spec.keep_ingest =>
            {
                Some((Call::RemoveIngest { ingest: id()? }, None))
            }
            _ => None,
        }
    }

    fn may_have_kept(&self) -> bool {
        match self.durable.spec.ingest_owner {
            IngestOwner::Relay => false,
            IngestOwner::Channel => !self.volatile.nothing_kept,
        }
    }

    /// Whether the first egress would go on with an earlier show's broadcast.
    fn must_end_broadcast(&self) -> bool {
        let kept = self.durable.ingest.kept.as_ref();
        kept.is_some_and(|kept| kept.broadcast_open)
    }

    /// When the key of a kept ingest is renewed because its last egress may still publish. `None`: it cannot, or a start in
    /// doubt is looked up first: its repeat bears the same key.
    fn renew_before_release(&self) -> Option<Option<DateTime<Utc>>> {
        let durable = &self.durable;
        let kept = durable.ingest.kept.as_ref()?;
        match durable.open_egress().map(|egress| egress.stage) {
            None => durable.ingest.key_stale.then_some(None),
            Some(EgressStage::Starting) => None,
            Some(_) if kept.sealed || !durable.spec.capabilities.renews_key => None,
            Some(_) => {
                let patient = self.volatile.egress.failures == 0 && !durable.ingest.key_stale;
                let stopped_at = durable.stopped_at.filter(|_| patient);
                Some(stopped_at.map(|at| at + STOP_FIRST))
            }
        }
    }

    /// Whether a repeated creation could make a second ingest.
    fn must_look_up(&self, now: DateTime<Utc>) -> bool {
        match self.durable.spec.capabilities.create_repeat {
            CreateRepeat::IdempotencyKey { key_life } => {
                let requested_at = self.durable.ingest.requested_at;
                requested_at.is_some_and(|at| at + key_life < now)
            }
            CreateRepeat::LookUp => self.volatile.ingest_in_doubt,
        }
    }

    fn next_egress_call(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        match &durable.egress {
            Some(egress) if egress.stage.is_open() => match egress.stage {
                EgressStage::Starting => self.repeat_start(egress, now).map(|call| (call, None)),
                EgressStage::Running if durable.phase == Phase::Stopping => {
                    Some((Call::StopEgress(self.egress_ref()?), None))
                }
                EgressStage::Retiring => Some((Call::StopEgress(self.egress_ref()?), None)),
                EgressStage::Running
                    if durable.phase.is_watched() && self.volatile.update_wanted =>
                {
                    let ingest = durable.ingest.id.clone()?;
                    Some((
                        Call::UpdateEgress {
                            egress: self.egress_ref()?,
                            ingest,
                        },
                        None,
                    ))
                }
                EgressStage::Running | EgressStage::InCleanup | EgressStage::Settled => None,
            },
            Some(_) | None if durable.phase.holds_slot() => self.first_start(now),
            Some(_) | None => None,
        }
    }

    fn first_start(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let ingest = &durable.ingest;
        let ready =
            ingest.stage == IngestStage::Ready && !ingest.key_stale && !self.must_end_broadcast();
        let attempt = durable.next_attempt();
        let wait = durable
            .spec
            .egress_not_before
            .filter(|_| !self.volatile.predecessor_down);
        let start = |preparation: Option<&Preparation>| {
            Some(Call::StartEgress {
                attempt,
                preparation: preparation.map(|known| known.handle.clone()),
                ingest: ingest.id.clone()?,
            })
        };
        let call = match (&durable.spec.egress.capabilities.prepare, ready) {
            (None, true) => start(None)?,
            (None, false) => return None,
            (Some(prepare), true) => match &self.volatile.prepared {
                Some(known) if now <= known.at + prepare.fresh => start(Some(known))?,
                Some(_) | None => Call::PrepareEgress { attempt },
            },
            (Some(_), false) if ingest.key_stale || self.volatile.prepared_early => return None,
            (Some(_), false) => Call::PrepareEgress { attempt },
        };
        Some((call, wait))
    }

    /// Repeats a start in doubt, to find out what happened.
    fn repeat_start(&self, egress: &Egress, now: DateTime<Utc>) -> Option<Call> {
        let attempt = egress.attempt;
        let ingest = self.durable.ingest.id.clone()?;
        let preparation = match &self.durable.spec.egress.capabilities.prepare {
            None => None,
            Some(prepare) => match self.same_preparation(egress, prepare, now) {
                Some(known) => Some(known.handle.clone()),
                None => return Some(Call::PrepareEgress { attempt }),
            },
        };
        Some(Call::StartEgress {
            attempt,
            preparation,
            ingest,
        })
    }

    /// The preparation on which the start is repeated; `None`: it needs a new one.
    fn same_preparation<'a>(
        &self,
        egress: &'a Egress,
        prepare: &Prepare,
        now: DateTime<Utc>,
    ) -> Option<&'a Preparation> {
        // While stopping, or with a known handle, the repeat looks for the egress's preparation: a new one would hide it.
        let same = self.durable.phase == Phase::Stopping
            || egress.handle.is_some()
            || self.volatile.egress.failures < prepare.starts;
        let known = egress.preparation.as_ref()?;
        let alive = now <= known.at + prepare.life;
        (alive && same && !self.volatile.prepare_again).then_some(known)
    }

    fn next_feed_poll(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let ingest = &self.durable.ingest;
        let ingest = ingest
            .id
            .clone()
            .filter(|_| self.durable.phase.is_watched())?;
        let probe_manifest = self.durable.phase != Phase::Live;
        // A manifest stays when its feed is gone: it tells something only before the relay was live.
        let manifest_first = self.durable.spec.capabilities.manifest_first
            && self.durable.phase == Phase::AwaitingLive
            && self.is_eager(now)
            && self.volatile.last_poll_until.is_none();
        Some((
            Call::PollFeed {
                ingest,
                probe_manifest,
                manifest_first,
            },
            None,
        ))
    }

    fn next_egress_poll(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let running = self
            .durable
            .egress
            .as_ref()
            .is_some_and(|egress| egress.stage == EgressStage::Running);
        let egress = self
            .egress_ref()
            .filter(|_| running && self.durable.phase.is_watched())?;
        Some((Call::PollEgress(egress), None))
    }

    fn next_hosts_poll(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let watched = self.durable.phase.is_watched();
        watched.then(|| {
            (
                Call::PollHosts,
                self.volatile.seller.reports.page_valid_until(),
            )
        })
    }

    fn next_recordings_poll(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let wanted = durable.phase == Phase::Finalizing
            && !durable.recordings_settled
            && durable.may_have_recordings();
        let ingest = durable.ingest.id.clone().filter(|_| wanted)?;
        // Where a publisher's return begins another recording, no poll need have seen the interruption.
        let held = match durable.spec.capabilities.reconnect {
            Reconnect::Held { .. } => true,
            Reconnect::RecordingsMerged { .. } | Reconnect::Anew => false,
        };
        let thorough = durable.was_interrupted
            || !held
            || durable.live_at.is_none()
            || durable.recordings.is_empty();
        // Nothing is ready before the broadcast is over.
        let over = durable.phase_since + durable.broadcast_outlives_egress();
        Some((Call::PollRecordings { ingest, thorough }, Some(over)))
    }

    /// The open egress, if its handle is known.
    #[must_use]
    pub fn egress_ref(&self) -> Option<EgressRef> {
        self.durable.open_egress()?.handle.as_ref()?;
        let mut known = self.durable.egress_ref()?;
        known.preparations.truncate(1);
        Some(known)
    }
}
