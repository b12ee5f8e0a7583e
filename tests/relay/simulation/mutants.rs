//! Planted bugs: each takes the place of a rule of the core by tampering with what passes between it and the world.

use relaykeeper::relay::{Answer, Call, Failure};

use super::vendors::{Ms, Vendors};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The core as it is.
    None,
    /// "Start without looking": a start whose answer was lost is repeated under another identity.
    StartWithoutPolling,
    /// "Create without its key": the creation of an ingest whose answer was lost is repeated as a new one.
    CreateWithoutKey,
    /// "Replace without rotating": the keys stay, and the core believes that they are new.
    ReplaceWithoutRotating,
    /// "One 404 means gone": the back-off is empty.
    OneMissMeansGone,
    /// "Stop forgets the egress": it is believed to be stopped.
    StopForgetsEgress,
    /// "Disable forgets the ingest": it is believed to be disabled.
    DisableForgotten,
    /// "Delete forgets the ingest": it is believed to be deleted.
    DeleteForgotten,
    /// "What is owed is forgotten": no cleanup job is written.
    CleanupJobsDropped,
    /// "Act first, write second": the calls of a step are made although it is not stored.
    ActBeforeStore,
    /// "The last entry is lost": the store was told of it and did not keep it.
    LastEntryLost,
}

impl Mutant {
    /// What happens instead of a call; none: the call. `again`: it was made before and its outcome is open.
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
            (Self::ReplaceWithoutRotating, Call::RotateKeys { .. }) => {
                Some(Ok(Answer::KeysRotated))
            }
            (Self::StopForgetsEgress, Call::StopEgress(_)) => Some(Ok(Answer::Stopped)),
            (Self::DisableForgotten, Call::DisableIngest { .. }) => Some(Ok(Answer::Disabled)),
            (Self::DeleteForgotten, Call::DeleteIngest { .. }) => Some(Ok(Answer::Deleted)),
            _ => None,
        }
    }
}
