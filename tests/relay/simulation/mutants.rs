//! Planted bugs: each replaces a rule of the core by changing what passes between it and the vendors.

use relaykeeper::relay::{Answer, Call, Failure};

use super::vendors::{Ms, Vendors};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The core as it is.
    None,
    /// A start without an answer is repeated under another identity.
    StartWithoutPolling,
    /// A creation without an answer is repeated as a new one.
    CreateWithoutKey,
    /// The keys stay, and the core believes that they are new.
    ReplaceWithoutRotating,
    /// The back-off after a 404 is empty.
    OneMissMeansGone,
    /// The egress is believed to be stopped.
    StopForgetsEgress,
    /// The ingest is believed to be disabled.
    DisableForgotten,
    /// The ingest is believed to be deleted.
    DeleteForgotten,
    /// No cleanup job is written.
    CleanupJobsDropped,
    /// The calls of a step are made although it is not stored.
    ActBeforeStore,
    /// The store loses the last entry.
    LastEntryLost,
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
                    resource_id,
                    ingest,
                    ..
                },
            ) if again => Some(vendors.start(*attempt, resource_id, ingest, key, "x", now)),
            (Self::StartWithoutPolling, Call::CreateConverter { attempt, ingest }) if again => {
                Some(Ok(Answer::ConverterRunning {
                    converter_id: vendors.run(*attempt, None, ingest, key, "x", now),
                }))
            }
            (Self::CreateWithoutKey, Call::CreateIngest { attempt }) if again => {
                Some(vendors.create_input(*attempt, "x", now))
            }
            (Self::ReplaceWithoutRotating, Call::RenewIngestKey { .. }) => {
                Some(Ok(Answer::KeyRenewed))
            }
            (Self::StopForgetsEgress, Call::StopEgress(_)) => Some(Ok(Answer::Stopped)),
            (Self::DisableForgotten, Call::CloseIngest { .. }) => Some(Ok(Answer::Closed)),
            (Self::DeleteForgotten, Call::RemoveIngest { .. }) => Some(Ok(Answer::Removed)),
            _ => None,
        }
    }
}
