//! What a relay wants done, from its state alone: the same rules carry a first start, a retry and a recovery.

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::action::{Call, CloudTask, EgressRef, NextCall};
use super::phase::Phase;
use super::spec::Backend;
use super::state::{Egress, EgressStage, IngestStage};
use super::volatile::Kind;

/// An egress is started within 2 s of its acquire (`agora.md §2.3`); a resource older than this is dropped.
const RESOURCE_FRESH: TimeDelta = TimeDelta::milliseconds(1500);
/// A resource lives 5 minutes (`agora.md §2.3`); a start is repeated on it for a little less.
const RESOURCE_LIFE: TimeDelta = TimeDelta::seconds(270);
/// So many failed starts on one resource, and the next goes to a new one.
const STARTS_PER_RESOURCE: u32 = 3;
/// `Idempotency-Key` expires 6 h after creation (`cloudflare-stream.md §2.3`).
const KEY_LIFE: TimeDelta = TimeDelta::hours(6);
/// How long the ingest's disabling waits for the egress's stop to be answered.
const STOP_FIRST: TimeDelta = TimeDelta::seconds(5);

impl Relay {
    /// The call of a kind that is wanted, and when; none when there is nothing to do or one is in flight.
    pub(super) fn next_call(&self, kind: Kind, now: DateTime<Utc>) -> Option<NextCall> {
        let slot = self.volatile.slot_ref(kind);
        if slot.flight.is_some() {
            return None;
        }
        let (call, not_before) = match kind {
            Kind::Input => self.next_ingest_call(now),
            Kind::Egress => self.next_egress_call(now),
            Kind::Feed => self.next_feed_call(now),
            Kind::Health => self.next_health_call(),
            Kind::Hosts => self.next_hosts_call(),
            Kind::Recordings => self.next_recordings_call(),
        }?;
        Some(NextCall {
            call,
            due: slot.due.into_iter().chain(not_before).max().unwrap_or(now),
        })
    }

    fn next_ingest_call(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let input = &self.durable.ingest;
        let uid = || input.uid.clone();
        let expired = input.requested_at.is_some_and(|at| now - at > KEY_LIFE);
        match (self.durable.phase, input.stage) {
            (Phase::Provisioning, IngestStage::Unrequested) => Some((
                Call::CreateIngest {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::Provisioning | Phase::Stopping, IngestStage::Requested) if expired => Some((
                Call::FindIngest {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::Provisioning | Phase::Stopping, IngestStage::Requested) => Some((
                Call::CreateIngest {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::AwaitingLive | Phase::Live | Phase::Interrupted, IngestStage::Ready)
                if input.keys_stale =>
            {
                Some((Call::RotateKeys { ingest: uid()? }, None))
            }
            (Phase::Stopping, IngestStage::Ready) => {
                let open = self.durable.open_egress().is_some();
                let patient = open && self.volatile.egress.failures == 0;
                // One that is owed may still run: nothing but this keeps it from publishing.
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
                    Call::DisableIngest {
                        ingest: uid()?,
                        urgent,
                    },
                    wait,
                ))
            }
            (Phase::Finalizing, IngestStage::Disabled)
                if self.durable.recordings_settled && !self.durable.spec.keep_ingest =>
            {
                Some((Call::DeleteIngest { ingest: uid()? }, None))
            }
            _ => None,
        }
    }

    fn next_egress_call(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        match &durable.egress {
            Some(egress) if egress.stage.is_open() => match egress.stage {
                EgressStage::Starting
                    if durable.phase.holds_slot() || durable.phase == Phase::Stopping =>
                {
                    self.repeat_start(egress, now).map(|call| (call, None))
                }
                EgressStage::Running if durable.phase == Phase::Stopping => {
                    Some((Call::StopEgress(self.egress_ref()?), None))
                }
                EgressStage::Retiring => Some((Call::StopEgress(self.egress_ref()?), None)),
                EgressStage::Running
                    if durable.phase.is_watched() && self.volatile.update_wanted =>
                {
                    let ingest = durable.ingest.uid.clone()?;
                    Some((
                        Call::UpdateEgress {
                            egress: self.egress_ref()?,
                            ingest,
                        },
                        None,
                    ))
                }
                EgressStage::Starting
                | EgressStage::Running
                | EgressStage::InCleanup
                | EgressStage::Settled => None,
            },
            Some(_) | None if durable.phase.holds_slot() => self.first_start(now),
            Some(_) | None => None,
        }
    }

    /// An egress is wanted where there is none: its first start.
    fn first_start(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let input = &durable.ingest;
        let ready = input.stage == IngestStage::Ready && !input.keys_stale;
        let attempt = durable.next_attempt();
        let wait = durable
            .spec
            .egress_not_before
            .filter(|_| !self.volatile.predecessor_down);
        let call = match &durable.spec.backend {
            Backend::MediaPush { .. } if ready => Call::CreateConverter {
                attempt,
                ingest: input.uid.clone()?,
            },
            Backend::MediaPush { .. } => return None,
            Backend::CloudRecording { .. } => match &self.volatile.acquired {
                Some((resource_id, at)) if ready && now - *at <= RESOURCE_FRESH => {
                    Call::StartEgress {
                        attempt,
                        resource_id: resource_id.clone(),
                        ingest: input.uid.clone()?,
                    }
                }
                _ if ready => Call::Acquire { attempt },
                _ if input.keys_stale || self.volatile.acquired_early => return None,
                _ => Call::Acquire { attempt },
            },
        };
        Some((call, wait))
    }

    /// A start whose outcome is open: the start itself is the poll.
    fn repeat_start(&self, egress: &Egress, now: DateTime<Utc>) -> Option<Call> {
        let attempt = egress.attempt;
        let ingest = self.durable.ingest.uid.clone()?;
        let Backend::CloudRecording { .. } = self.durable.spec.backend else {
            return Some(Call::CreateConverter { attempt, ingest });
        };
        let alive = egress
            .acquired_at
            .is_some_and(|at| now - at <= RESOURCE_LIFE);
        // Taken down, or known to run, it is only asked where it runs: a new resource would blur that.
        let tries = self.durable.phase == Phase::Stopping
            || egress.sid.is_some()
            || self.volatile.egress.failures < STARTS_PER_RESOURCE;
        let again = alive && !self.volatile.reacquire && tries;
        match &egress.resource_id {
            Some(resource_id) if again => Some(Call::StartEgress {
                attempt,
                resource_id: resource_id.clone(),
                ingest,
            }),
            _ => Some(Call::Acquire { attempt }),
        }
    }

    fn next_feed_call(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let input = &self.durable.ingest;
        let ingest = input
            .uid
            .clone()
            .filter(|_| self.durable.phase.is_watched())?;
        let probe_manifest = self.durable.phase != Phase::Live;
        // While a feed is gone its manifest stays, frozen: only before the first picture does it tell something new.
        let manifest_first = self.durable.phase == Phase::AwaitingLive
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

    fn next_health_call(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
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

    fn next_hosts_call(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let watched = self.durable.phase.is_watched();
        watched.then(|| {
            (
                Call::PollHosts,
                self.volatile.seller.book.page_holds_until(),
            )
        })
    }

    fn next_recordings_call(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let wanted = durable.phase == Phase::Finalizing && !durable.recordings_settled;
        let ingest = durable.ingest.uid.clone().filter(|_| wanted)?;
        let thorough =
            durable.was_interrupted || durable.live_at.is_none() || durable.recordings.is_empty();
        Some((Call::PollRecordings { ingest, thorough }, None))
    }

    /// The egress by its vendor ids; none when there is none, or Agora did not tell them.
    #[must_use]
    pub fn egress_ref(&self) -> Option<EgressRef> {
        let egress = self.durable.open_egress()?;
        match &self.durable.spec.backend {
            Backend::CloudRecording { .. } => Some(EgressRef::CloudRecording(CloudTask {
                resource_id: egress.resource_id.clone()?,
                sid: egress.sid.clone()?,
                cname: self.durable.spec.tag(egress.attempt).to_string(),
                uid: self.durable.recording_uid(egress.attempt)?,
            })),
            Backend::MediaPush { region } => Some(EgressRef::MediaPush {
                converter_id: egress.converter_id.clone()?,
                region: region.clone(),
            }),
        }
    }
}
