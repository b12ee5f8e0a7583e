//! The phases of a relay and the table of its transitions.

use serde::{Deserialize, Serialize};

/// The phase of a relay.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Ingest and egress are started.
    Provisioning,
    /// The egress was accepted.
    AwaitingLive,
    /// Buyers can watch.
    Live,
    /// The feed is gone or the seller is away.
    Interrupted,
    /// The outcome is decided; egress and ingest are taken down.
    Stopping,
    /// Recordings are searched for, the ingest is removed.
    Finalizing,
    /// Only late recordings can still change it.
    Ended,
}

/// What moves a relay from one phase to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the phases document the rest")]
pub enum Move {
    /// The first egress was accepted.
    Accepted,
    Playable,
    Interrupted,
    Resumed,
    /// The outcome was decided.
    Ending,
    /// Egress and ingest are down, or left to cleanup jobs.
    TakenDown,
    /// Recordings, cost and ingest are settled.
    Closed,
}

/// From, by, to. Nothing leads back from `stopping`.
pub const TRANSITIONS: &[(Phase, Move, Phase)] = &[
    (Phase::Provisioning, Move::Accepted, Phase::AwaitingLive),
    (Phase::AwaitingLive, Move::Playable, Phase::Live),
    (Phase::Live, Move::Interrupted, Phase::Interrupted),
    (Phase::Interrupted, Move::Resumed, Phase::Live),
    (Phase::Provisioning, Move::Ending, Phase::Stopping),
    (Phase::AwaitingLive, Move::Ending, Phase::Stopping),
    (Phase::Live, Move::Ending, Phase::Stopping),
    (Phase::Interrupted, Move::Ending, Phase::Stopping),
    (Phase::Stopping, Move::TakenDown, Phase::Finalizing),
    (Phase::Finalizing, Move::Closed, Phase::Ended),
];

/// A transition that is not in [`TRANSITIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no transition from {from} by {by}")]
#[allow(missing_docs, reason = "the names suffice")]
pub struct IllegalTransition {
    pub from: Phase,
    pub by: Move,
}

impl Phase {
    /// The next phase.
    pub fn after(self, by: Move) -> Result<Phase, IllegalTransition> {
        TRANSITIONS
            .iter()
            .find(|(from, how, _)| *from == self && *how == by)
            .map(|(_, _, to)| *to)
            .ok_or(IllegalTransition { from: self, by })
    }

    /// Whether the relay holds its channel's slot, so that the next cannot start.
    #[must_use]
    pub fn holds_slot(self) -> bool {
        match self {
            Phase::Provisioning | Phase::AwaitingLive | Phase::Live | Phase::Interrupted => true,
            Phase::Stopping | Phase::Finalizing | Phase::Ended => false,
        }
    }

    /// Whether the relay is live or interrupted.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Phase::Live | Phase::Interrupted)
    }

    /// Whether feed, egress and hosts are polled.
    #[must_use]
    pub fn is_watched(self) -> bool {
        matches!(self, Phase::AwaitingLive | Phase::Live | Phase::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn every_phase_that_holds_the_slot_can_be_ended_and_no_other() {
        for phase in Phase::iter() {
            assert_eq!(
                phase.after(Move::Ending).is_ok(),
                phase.holds_slot(),
                "{phase}"
            );
        }
    }

    #[test]
    fn nothing_leads_back_from_stopping_and_nothing_out_of_ended() {
        let later = [Phase::Stopping, Phase::Finalizing, Phase::Ended];
        for (from, by, to) in TRANSITIONS {
            assert!(
                !later.contains(from) || later.contains(to),
                "{from} by {by} to {to}"
            );
            assert_ne!(*from, Phase::Ended);
        }
    }
}
