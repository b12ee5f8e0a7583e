//! The planner: derives the next call of each lane from the state alone, so a first attempt, a retry and a recovery
//! follow the same rules.

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::action::{Call, CloudTask, EgressRef, NextCall};
use super::capabilities::{CreateRepeat, Reconnect};
use super::phase::Phase;
use super::spec::Backend;
use super::state::{Egress, EgressStage, IngestStage};
use super::volatile::Lane;

/// An egress must start within 2 s of its acquire (`agora.md §2.3`).
const RESOURCE_FRESH: TimeDelta = TimeDelta::milliseconds(1500);
/// A resource lives 5 minutes (`agora.md §2.3`), less a margin.
const RESOURCE_LIFE: TimeDelta = TimeDelta::seconds(270);
/// Failed starts until the next gets a new resource.
const STARTS_PER_RESOURCE: u32 = 3;
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
            (Phase::AwaitingLive | Phase::Live | Phase::Interrupted, IngestStage::Ready)
                if ingest.key_stale =>
            {
                Some((Call::RenewIngestKey { ingest: id()? }, None))
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
        let ready = ingest.stage == IngestStage::Ready && !ingest.key_stale;
        let attempt = durable.next_attempt();
        let wait = durable
            .spec
            .egress_not_before
            .filter(|_| !self.volatile.predecessor_down);
        let call = match &durable.spec.backend {
            Backend::MediaPush { .. } if ready => Call::CreateConverter {
                attempt,
                ingest: ingest.id.clone()?,
            },
            Backend::MediaPush { .. } => return None,
            Backend::CloudRecording { .. } => match &self.volatile.acquired {
                Some((resource_id, at)) if ready && now - *at <= RESOURCE_FRESH => {
                    Call::StartEgress {
                        attempt,
                        resource_id: resource_id.clone(),
                        ingest: ingest.id.clone()?,
                    }
                }
                _ if ready => Call::Acquire { attempt },
                _ if ingest.key_stale || self.volatile.acquired_early => return None,
                _ => Call::Acquire { attempt },
            },
        };
        Some((call, wait))
    }

    /// Repeats a start in doubt, to find out what happened.
    fn repeat_start(&self, egress: &Egress, now: DateTime<Utc>) -> Option<Call> {
        let attempt = egress.attempt;
        let ingest = self.durable.ingest.id.clone()?;
        let Backend::CloudRecording { .. } = self.durable.spec.backend else {
            return Some(Call::CreateConverter { attempt, ingest });
        };
        let alive = egress
            .acquired_at
            .is_some_and(|at| now - at <= RESOURCE_LIFE);
        // While stopping, or with a known session, the repeat looks for the egress's resource: a new one would hide it.
        let same_resource = self.durable.phase == Phase::Stopping
            || egress.sid.is_some()
            || self.volatile.egress.failures < STARTS_PER_RESOURCE;
        let again = alive && !self.volatile.reacquire && same_resource;
        match &egress.resource_id {
            Some(resource_id) if again => Some(Call::StartEgress {
                attempt,
                resource_id: resource_id.clone(),
                ingest,
            }),
            _ => Some(Call::Acquire { attempt }),
        }
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
        Some((Call::PollRecordings { ingest, thorough }, None))
    }

    /// The open egress by its vendor ids, if known.
    #[must_use]
    pub fn egress_ref(&self) -> Option<EgressRef> {
        let egress = self.durable.open_egress()?;
        match &self.durable.spec.backend {
            Backend::CloudRecording { .. } => Some(EgressRef::CloudRecording(CloudTask {
                resource_id: egress.resource_id.clone()?,
                sid: egress.sid.clone()?,
                cname: self.durable.spec.tag(egress.attempt).to_string(),
                uid: self.durable.egress_uid(egress.attempt)?,
            })),
            Backend::MediaPush { region } => Some(EgressRef::MediaPush {
                converter_id: egress.converter_id.clone()?,
                region: region.clone(),
            }),
        }
    }
}
