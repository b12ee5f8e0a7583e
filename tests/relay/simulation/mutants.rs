//! Planted bugs: each replaces a rule of the core by changing what passes between it and the vendors.

use relaykeeper::relay::{
    Answer, Call, Cleanup, CreateRepeat, Failure, Reconnect, RecordingState, RecordingsKept, Spec,
};

use super::vendors::{Ms, Vendors};
use crate::platforms::Platform;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The core as it is.
    None,
    /// A start without an answer is repeated under another identity.
    StartWithoutPolling,
    /// A creation without an answer is repeated as a new one: under another key, or without a look-up.
    CreateBlindly,
    /// Of several ingests with a tag, only the oldest is known.
    OthersForgotten,
    /// What a look-up does not show counts as not created, for good.
    LookUpBelieved,
    /// The key stays, and the core believes that it is new.
    ReplaceWithoutRenewing,
    /// The back-off after a 404 is empty.
    OneMissMeansGone,
    /// The egress is believed to be stopped.
    StopForgetsEgress,
    /// The ingest is believed to be closed.
    CloseForgotten,
    /// The ingest is believed to be removed.
    RemoveForgotten,
    /// An ingest whose broadcast goes on counts as removed.
    StillLiveMeansRemoved,
    /// A recording that is ready counts as complete.
    ReadyMeansFinal,
    /// Recordings are expected where there are none.
    RecordingsExpected,
    /// No cleanup job is written.
    CleanupJobsDropped,
    /// The calls of a step are made although it is not stored.
    ActBeforeStore,
    /// The store loses the last entry.
    LastEntryLost,
    /// The key of a kept ingest stays, and the core believes that it is new.
    KeptKeyStays,
    /// An earlier show's broadcast goes on, and the core believes that it is ended.
    BroadcastGoesOn,
    /// The sessions of earlier shows are forgotten.
    EarlierSessionsForgotten,
}

impl Mutant {
    /// The result of a call that the bug replaces. `again`: the call was made before and its result is open.
    pub fn instead(
        self,
        call: &Call,
        again: bool,
        key: u32,
        now: Ms,
        vendors: &mut Vendors,
    ) -> Option<Result<Answer, Failure>> {
        match (self, call) {
            (
                Self::StartWithoutPolling,
                Call::StartEgress {
                    attempt,
                    preparation,
                    ingest,
                },
            ) if again => {
                Some(vendors.start(*attempt, preparation.as_ref(), ingest, key, "x", now))
            }
            (Self::CreateBlindly, Call::CreateIngest { attempt }) if again => {
                Some(vendors.create_input(*attempt, "x", now))
            }
            (Self::CreateBlindly, Call::FindIngest { attempt }) => {
                Some(vendors.create_input(*attempt, "", now))
            }
            (Self::OthersForgotten, Call::FindIngest { .. }) => {
                Some(vendors.perform(call, key, now).map(without_others))
            }
            (Self::ReplaceWithoutRenewing, Call::RenewIngestKey { .. }) => {
                Some(Ok(Answer::KeyRenewed))
            }
            (Self::KeptKeyStays, Call::RenewIngestKey { .. }) if vendors.kept.is_some() => {
                Some(Ok(Answer::KeyRenewed))
            }
            (Self::BroadcastGoesOn, Call::EndBroadcast { .. }) => {
                Some(Ok(Answer::BroadcastEnded { session: None }))
            }
            (Self::EarlierSessionsForgotten, Call::ClaimIngest | Call::EndBroadcast { .. }) => {
                Some(vendors.perform(call, key, now).map(without_sessions))
            }
            (Self::StillLiveMeansRemoved, Call::RemoveIngest { .. }) => {
                let answer = vendors.perform(call, key, now);
                Some(answer.map(|answer| match answer {
                    Answer::StillLive { .. } => Answer::Removed,
                    answer => answer,
                }))
            }
            (Self::ReadyMeansFinal, Call::PollRecordings { .. }) => {
                Some(vendors.perform(call, key, now).map(as_final))
            }
            (Self::StopForgetsEgress, Call::StopEgress(_)) => Some(Ok(Answer::Stopped)),
            (Self::CloseForgotten, Call::CloseIngest { .. }) => Some(Ok(Answer::Closed)),
            (Self::RemoveForgotten, Call::RemoveIngest { .. }) => Some(Ok(Answer::Removed)),
            _ => None,
        }
    }

    /// Changes what the core believes.
    pub fn mislead(self, spec: &mut Spec) {
        match self {
            Self::OneMissMeansGone => spec.timing.not_found_backoff.clear(),
            Self::ReplaceWithoutRenewing => spec.capabilities.renews_key = true,
            Self::RecordingsExpected => spec.capabilities.recordings = RecordingsKept::Platform,
            _ => {}
        }
    }

    /// Whether this cleanup job is never written.
    pub fn drops(self, cleanup: &Cleanup) -> bool {
        match self {
            Self::CleanupJobsDropped => true,
            Self::LookUpBelieved => matches!(cleanup, Cleanup::FindIngest { .. }),
            _ => false,
        }
    }

    /// Whether it can do harm on a platform.
    pub fn hurts(self, platform: &Platform) -> bool {
        let capabilities = &platform.capabilities;
        let is_recorded = capabilities.recordings.are_found();
        match self {
            Self::None => false,
            Self::OthersForgotten | Self::LookUpBelieved => {
                capabilities.create_repeat == CreateRepeat::LookUp
            }
            Self::KeptKeyStays => capabilities.renews_key,
            Self::BroadcastGoesOn => matches!(capabilities.reconnect, Reconnect::Held { .. }),
            Self::EarlierSessionsForgotten => {
                let is_recorded = capabilities.recordings == RecordingsKept::Platform;
                is_recorded && capabilities.reconnect != Reconnect::Anew
            }
            // Otherwise a 404 never leads to a second egress.
            Self::OneMissMeansGone => capabilities.renews_key,
            Self::StillLiveMeansRemoved => !capabilities.removes_live_ingest,
            Self::ReadyMeansFinal => platform.quirks.ready_early && is_recorded,
            Self::RecordingsExpected => !is_recorded,
            Self::StartWithoutPolling
            | Self::CreateBlindly
            | Self::ReplaceWithoutRenewing
            | Self::StopForgetsEgress
            | Self::CloseForgotten
            | Self::RemoveForgotten
            | Self::CleanupJobsDropped
            | Self::ActBeforeStore
            | Self::LastEntryLost => true,
        }
    }
}

fn without_others(mut answer: Answer) -> Answer {
    if let Answer::Ingest { others, .. } = &mut answer {
        others.clear();
    }
    answer
}

fn without_sessions(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Claimed { kept, .. } => kept.foreign_sessions.clear(),
        Answer::BroadcastEnded { session } => *session = None,
        _ => {}
    }
    answer
}

fn as_final(mut answer: Answer) -> Answer {
    if let Answer::Recordings(recordings) = &mut answer {
        for recording in recordings {
            recording.is_final |= recording.state == RecordingState::Ready;
        }
    }
    answer
}
