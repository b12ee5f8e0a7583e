//! What a relay wants done, from its state alone: the same rules carry a first start, a retry and a recovery.

use chrono::{DateTime, TimeDelta, Utc};

use super::Relay;
use super::action::{Call, CloudTask, RecorderRef, Want};
use super::phase::Phase;
use super::spec::Backend;
use super::state::{InputStage, Recorder, RecorderStage};
use super::volatile::Kind;

/// A recorder is started within 2 s of its acquire (`agora.md §2.3`); a resource older than this is dropped.
const RESOURCE_FRESH: TimeDelta = TimeDelta::milliseconds(1500);
/// A resource lives 5 minutes (`agora.md §2.3`); a start is repeated on it for a little less.
const RESOURCE_LIFE: TimeDelta = TimeDelta::seconds(270);
/// So many failed starts on one resource, and the next goes to a new one.
const STARTS_PER_RESOURCE: u32 = 3;
/// `Idempotency-Key` expires 6 h after creation (`cloudflare-stream.md §2.3`).
const KEY_LIFE: TimeDelta = TimeDelta::hours(6);
/// How long the live input's disabling waits for the recorder's stop to be answered.
const STOP_FIRST: TimeDelta = TimeDelta::seconds(5);

impl Relay {
    /// The call of a kind that is wanted, and when; none when there is nothing to do or one is in flight.
    pub(super) fn want(&self, kind: Kind, now: DateTime<Utc>) -> Option<Want> {
        let slot = self.volatile.slot_ref(kind);
        if slot.flight.is_some() {
            return None;
        }
        let (call, not_before) = match kind {
            Kind::Input => self.want_input(now),
            Kind::Recorder => self.want_recorder(now),
            Kind::Feed => self.want_feed(now),
            Kind::Health => self.want_health(),
            Kind::Hosts => self.want_hosts(),
            Kind::Recordings => self.want_recordings(),
        }?;
        Some(Want {
            call,
            due: slot.due.into_iter().chain(not_before).max().unwrap_or(now),
        })
    }

    fn want_input(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let input = &self.durable.live_input;
        let uid = || input.uid.clone();
        let expired = input.requested_at.is_some_and(|at| now - at > KEY_LIFE);
        match (self.durable.phase, input.stage) {
            (Phase::Provisioning, InputStage::Unrequested) => Some((
                Call::CreateLiveInput {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::Provisioning | Phase::Stopping, InputStage::Requested) if expired => Some((
                Call::FindLiveInput {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::Provisioning | Phase::Stopping, InputStage::Requested) => Some((
                Call::CreateLiveInput {
                    attempt: input.attempt,
                },
                None,
            )),
            (Phase::AwaitingLive | Phase::Live | Phase::Interrupted, InputStage::Ready)
                if input.keys_stale =>
            {
                Some((Call::RotateKeys { live_input: uid()? }, None))
            }
            (Phase::Stopping, InputStage::Ready) => {
                let open = self.durable.open_recorder().is_some();
                let patient = open && self.volatile.recorder.failures == 0;
                // One that is owed may still run: nothing but this keeps it from publishing.
                let urgent = self
                    .durable
                    .recorder
                    .as_ref()
                    .is_some_and(|recorder| recorder.stage != RecorderStage::Settled);
                let wait = self
                    .durable
                    .stopped_at
                    .filter(|_| patient)
                    .map(|at| at + STOP_FIRST);
                Some((
                    Call::DisableLiveInput {
                        live_input: uid()?,
                        urgent,
                    },
                    wait,
                ))
            }
            (Phase::Finalizing, InputStage::Disabled)
                if self.durable.recordings_settled && !self.durable.spec.keep_live_input =>
            {
                Some((Call::DeleteLiveInput { live_input: uid()? }, None))
            }
            _ => None,
        }
    }

    fn want_recorder(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        match &durable.recorder {
            Some(recorder) if recorder.stage.is_open() => match recorder.stage {
                RecorderStage::Starting
                    if durable.phase.holds_slot() || durable.phase == Phase::Stopping =>
                {
                    self.want_start_again(recorder, now)
                        .map(|call| (call, None))
                }
                RecorderStage::Running if durable.phase == Phase::Stopping => {
                    Some((Call::StopRecorder(self.recorder_ref()?), None))
                }
                RecorderStage::Retiring => Some((Call::StopRecorder(self.recorder_ref()?), None)),
                RecorderStage::Running
                    if durable.phase.is_watched() && self.volatile.update_wanted =>
                {
                    let live_input = durable.live_input.uid.clone()?;
                    Some((
                        Call::UpdateRecorder {
                            recorder: self.recorder_ref()?,
                            live_input,
                        },
                        None,
                    ))
                }
                RecorderStage::Starting
                | RecorderStage::Running
                | RecorderStage::Owed
                | RecorderStage::Settled => None,
            },
            Some(_) | None if durable.phase.holds_slot() => self.want_first_start(now),
            Some(_) | None => None,
        }
    }

    /// A recorder is wanted where there is none: its first start.
    fn want_first_start(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let input = &durable.live_input;
        let ready = input.stage == InputStage::Ready && !input.keys_stale;
        let attempt = durable.next_attempt();
        let wait = durable
            .spec
            .recorder_not_before
            .filter(|_| !self.volatile.predecessor_down);
        let call = match &durable.spec.backend {
            Backend::MediaPush { .. } if ready => Call::CreateConverter {
                attempt,
                live_input: input.uid.clone()?,
            },
            Backend::MediaPush { .. } => return None,
            Backend::CloudRecording { .. } => match &self.volatile.acquired {
                Some((resource_id, at)) if ready && now - *at <= RESOURCE_FRESH => {
                    Call::StartRecorder {
                        attempt,
                        resource_id: resource_id.clone(),
                        live_input: input.uid.clone()?,
                    }
                }
                _ if ready => Call::Acquire { attempt },
                _ if input.keys_stale || self.volatile.acquired_early => return None,
                _ => Call::Acquire { attempt },
            },
        };
        Some((call, wait))
    }

    /// A start whose outcome is open: the start itself is the look.
    fn want_start_again(&self, recorder: &Recorder, now: DateTime<Utc>) -> Option<Call> {
        let attempt = recorder.attempt;
        let live_input = self.durable.live_input.uid.clone()?;
        let Backend::CloudRecording { .. } = self.durable.spec.backend else {
            return Some(Call::CreateConverter {
                attempt,
                live_input,
            });
        };
        let alive = recorder
            .acquired_at
            .is_some_and(|at| now - at <= RESOURCE_LIFE);
        // Taken down, or known to run, it is only asked where it runs: a new resource would blur that.
        let tries = self.durable.phase == Phase::Stopping
            || recorder.sid.is_some()
            || self.volatile.recorder.failures < STARTS_PER_RESOURCE;
        let again = alive && !self.volatile.reacquire && tries;
        match &recorder.resource_id {
            Some(resource_id) if again => Some(Call::StartRecorder {
                attempt,
                resource_id: resource_id.clone(),
                live_input,
            }),
            _ => Some(Call::Acquire { attempt }),
        }
    }

    fn want_feed(&self, now: DateTime<Utc>) -> Option<(Call, Option<DateTime<Utc>>)> {
        let input = &self.durable.live_input;
        let live_input = input
            .uid
            .clone()
            .filter(|_| self.durable.phase.is_watched())?;
        let probe_manifest = self.durable.phase != Phase::Live;
        // While a feed is gone its manifest stays, frozen: only before the first picture does it tell something new.
        let manifest_first = self.durable.phase == Phase::AwaitingLive
            && self.is_eager(now)
            && self.volatile.last_look_until.is_none();
        Some((
            Call::LookAtFeed {
                live_input,
                probe_manifest,
                manifest_first,
            },
            None,
        ))
    }

    fn want_health(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let running = self
            .durable
            .recorder
            .as_ref()
            .is_some_and(|recorder| recorder.stage == RecorderStage::Running);
        let recorder = self
            .recorder_ref()
            .filter(|_| running && self.durable.phase.is_watched())?;
        Some((Call::LookAtRecorder(recorder), None))
    }

    fn want_hosts(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let watched = self.durable.phase.is_watched();
        watched.then(|| {
            (
                Call::LookAtHosts,
                self.volatile.seller.book.page_holds_until(),
            )
        })
    }

    fn want_recordings(&self) -> Option<(Call, Option<DateTime<Utc>>)> {
        let durable = &self.durable;
        let wanted = durable.phase == Phase::Finalizing && !durable.recordings_settled;
        let live_input = durable.live_input.uid.clone().filter(|_| wanted)?;
        let thorough =
            durable.was_interrupted || durable.live_at.is_none() || durable.videos.is_empty();
        Some((
            Call::LookForRecordings {
                live_input,
                thorough,
            },
            None,
        ))
    }

    /// The recorder by its vendor ids; none when there is none, or Agora did not tell them.
    #[must_use]
    pub fn recorder_ref(&self) -> Option<RecorderRef> {
        let recorder = self.durable.open_recorder()?;
        match &self.durable.spec.backend {
            Backend::CloudRecording { .. } => Some(RecorderRef::CloudRecording(CloudTask {
                resource_id: recorder.resource_id.clone()?,
                sid: recorder.sid.clone()?,
                cname: self.durable.spec.mark(recorder.attempt).to_string(),
                uid: self.durable.recording_uid(recorder.attempt)?,
            })),
            Backend::MediaPush { region } => Some(RecorderRef::MediaPush {
                converter_id: recorder.converter_id.clone()?,
                region: region.clone(),
            }),
        }
    }
}
