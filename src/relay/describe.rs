//! Sentences about facts and hints, for operators.

use super::event::Hint;
use super::fact::Fact;

impl Fact {
    /// A sentence for operators.
    #[must_use]
    pub fn describe(&self) -> String {
        let plain = match self {
            Self::Requested { .. } => "the start is accepted and the channel's slot is taken",
            Self::IngestRequested { .. } => "creating the ingest at the platform",
            Self::IngestReady { kept: Some(_), .. } => "the channel's ingest is ready",
            Self::IngestReady { kept: None, .. } => "the ingest is ready and its HLS URL is known",
            Self::BroadcastEnded { .. } => "an earlier show's broadcast is ended",
            Self::EgressStarting { .. } => "starting an egress at Agora",
            Self::EgressReprepared { .. } => "starting the same egress on a new preparation",
            Self::EgressElsewhere => "the egress runs on its earlier preparation",
            Self::EgressAccepted { .. } => "Agora accepted the egress",
            Self::EgressDiscovered { .. } => "a notification named the egress",
            Self::Notified { hint } => return hint.describe(),
            Self::EgressRetiring => "stopping the egress, to replace it",
            Self::EgressGone { proof } => return format!("the egress is gone: {proof}"),
            Self::EgressReplacing => "replacing the egress",
            Self::KeyRenewing => "renewing the ingest's key",
            Self::KeyRenewed => "the ingest has a new key and earlier egresses cannot publish",
            Self::Live => "a buyer can press play",
            Self::SessionSeen { session } if session.recording_id.is_some() => {
                "the platform is recording"
            }
            Self::SessionSeen { .. } => "the broadcast is seen at the platform",
            Self::FeedLost { .. } => "the feed is gone",
            Self::FeedRestored => "the feed is back",
            Self::SellerAway { .. } => "the seller is away",
            Self::SellerBack => "the seller is back",
            Self::Ending { outcome } => return format!("ending: {}", outcome.code),
            Self::IngestClosed => "the ingest is closed",
            Self::IngestGone => "the ingest is gone",
            Self::IngestReleased => "the channel has its ingest back",
            Self::IngestGivenUp => {
                "the channel keeps its ingest no longer: an egress may still publish"
            }
            Self::CleanupAdded { cleanup_job } => {
                let cleanup = cleanup_job.cleanup.kind().to_string().replace('_', " ");
                return format!("cleanup job added: {cleanup}");
            }
            Self::TakenDown => "egress and ingest are down",
            Self::RecordingsAnswered => "searching for recordings",
            Self::Recording { recording } => {
                return format!("the recording is {}", recording.state);
            }
            Self::RecordingsSettled { .. } => "the search for recordings is over",
            Self::Ended { .. } => "finished",
        };
        plain.to_owned()
    }

    /// Whether the fact is a setback: a loss, a repeat, a cleanup job or a bad end.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::IngestRequested { attempt } | Self::EgressStarting { attempt, .. } => {
                *attempt > 1
            }
            Self::Ending { outcome } => !outcome.code.ended_well(),
            Self::RecordingsSettled { missing } => *missing,
            Self::EgressReprepared { .. }
            | Self::EgressElsewhere
            | Self::EgressRetiring
            | Self::EgressReplacing
            | Self::FeedLost { .. }
            | Self::SellerAway { .. }
            | Self::IngestGivenUp
            | Self::CleanupAdded { .. } => true,
            Self::Requested { .. }
            | Self::IngestReady { .. }
            | Self::EgressAccepted { .. }
            | Self::EgressDiscovered { .. }
            | Self::Notified { .. }
            | Self::EgressGone { .. }
            | Self::KeyRenewing
            | Self::KeyRenewed
            | Self::Live
            | Self::SessionSeen { .. }
            | Self::FeedRestored
            | Self::SellerBack
            | Self::BroadcastEnded { .. }
            | Self::IngestClosed
            | Self::IngestGone
            | Self::IngestReleased
            | Self::TakenDown
            | Self::RecordingsAnswered
            | Self::Recording { .. }
            | Self::Ended { .. } => false,
        }
    }
}

impl Hint {
    fn describe(&self) -> String {
        let plain = match self {
            Self::FeedConnected => "platform notification: the encoder connected",
            Self::FeedDisconnected => "platform notification: the encoder disconnected",
            Self::FeedErrored { reason } => {
                return format!("platform notification: the feed was refused ({reason})");
            }
            Self::RecordingDone => "platform notification: a recording is ready or failed",
            Self::SellerJoined => "Agora notification: the seller joined",
            Self::SellerLeft => "Agora notification: the seller left",
            Self::PageCannotJoin { trouble } => trouble.describe(),
            Self::EgressChanged | Self::EgressNamed { .. } => {
                "Agora notification: the egress changed"
            }
        };
        plain.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{
        Cleanup, CleanupJob, Outcome, OutcomeCode, PageTrouble, Recording, RecordingState,
    };
    use chrono::DateTime;

    fn ending(code: OutcomeCode) -> Fact {
        let outcome = Box::new(Outcome::plain(code));
        Fact::Ending { outcome }
    }

    fn starting(attempt: u32) -> Fact {
        Fact::EgressStarting {
            attempt,
            preparation: None,
        }
    }

    #[test]
    fn a_fact_is_described_with_what_it_tells() {
        let cleanup = Cleanup::RemoveIngest { id: "id".into() };
        let cleanup_job = Box::new(CleanupJob {
            cleanup,
            due: DateTime::UNIX_EPOCH,
            expires: None,
        });
        let proof = "it exited".into();
        let recording = Box::new(Recording {
            state: RecordingState::Ready,
            ..Recording::in_progress("video".into())
        });
        for (fact, sentence) in [
            (Fact::Live, "a buyer can press play"),
            (Fact::EgressGone { proof }, "the egress is gone: it exited"),
            (ending(OutcomeCode::SellerLeft), "ending: seller_left"),
            (
                Fact::CleanupAdded { cleanup_job },
                "cleanup job added: remove ingest",
            ),
            (Fact::Recording { recording }, "the recording is ready"),
        ] {
            assert_eq!(fact.describe(), sentence);
        }
    }

    #[test]
    fn a_notification_is_described_with_its_sender_and_reason() {
        let reason = "ERR_GOP_OUT_OF_RANGE".into();
        let trouble = PageTrouble::Refused;
        for (hint, part) in [
            (Hint::FeedConnected, "the encoder connected"),
            (Hint::FeedErrored { reason }, "(ERR_GOP_OUT_OF_RANGE)"),
            (Hint::EgressChanged, "Agora notification"),
            (Hint::PageCannotJoin { trouble }, "Agora refuses"),
        ] {
            let text = Fact::Notified { hint }.describe();
            assert!(text.contains(part), "{text}");
            assert!(!text.contains(concat!("Cloud", "flare")), "{text}");
        }
    }

    #[test]
    fn second_tries_bad_ends_and_losses_are_trouble() {
        for fact in [
            Fact::IngestRequested { attempt: 2 },
            starting(2),
            ending(OutcomeCode::EgressLost),
            Fact::RecordingsSettled { missing: true },
            Fact::EgressReplacing,
        ] {
            assert!(fact.is_trouble(), "{fact:?}");
        }
        for fact in [
            Fact::IngestRequested { attempt: 1 },
            starting(1),
            ending(OutcomeCode::StoppedByRequest),
            Fact::RecordingsSettled { missing: false },
            Fact::KeyRenewed,
        ] {
            assert!(!fact.is_trouble(), "{fact:?}");
        }
    }
}
