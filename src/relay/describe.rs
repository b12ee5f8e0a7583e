//! Sentences about facts and hints, for operators.

use super::event::Hint;
use super::fact::Fact;

impl Fact {
    /// A sentence for operators.
    #[must_use]
    pub fn describe(&self) -> String {
        let plain = match self {
            Self::Requested { .. } => "the start is accepted and the channel's slot is taken",
            Self::IngestRequested { .. } => "creating the ingest at Cloudflare",
            Self::IngestReady { .. } => "the ingest is ready and its HLS URL is known",
            Self::EgressStarting { .. } => "starting an egress at Agora",
            Self::EgressReacquired { .. } => "starting the same egress on a new resource",
            Self::EgressElsewhere => "the egress runs on its earlier resource",
            Self::EgressAccepted { .. } => "Agora accepted the egress",
            Self::EgressDiscovered { .. } => "a notification named the egress's session",
            Self::Notified { hint } => return hint.describe(),
            Self::EgressRetiring => "stopping the egress, to replace it",
            Self::EgressGone { proof } => return format!("the egress is gone: {proof}"),
            Self::EgressReplacing => "replacing the egress",
            Self::KeysRotated => "the ingest has new keys and earlier egresses cannot publish",
            Self::Live => "a buyer can press play",
            Self::RecordingSeen { .. } => "Cloudflare is recording",
            Self::FeedLost { .. } => "the feed is gone",
            Self::FeedRestored => "the feed is back",
            Self::SellerAway { .. } => "the seller is away",
            Self::SellerBack => "the seller is back",
            Self::Ending { outcome } => return format!("ending: {}", outcome.code),
            Self::IngestDisabled => "the ingest is disabled",
            Self::IngestGone => "the ingest is gone",
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
            Self::EgressReacquired { .. }
            | Self::EgressElsewhere
            | Self::EgressRetiring
            | Self::EgressReplacing
            | Self::FeedLost { .. }
            | Self::SellerAway { .. }
            | Self::CleanupAdded { .. } => true,
            Self::Requested { .. }
            | Self::IngestReady { .. }
            | Self::EgressAccepted { .. }
            | Self::EgressDiscovered { .. }
            | Self::Notified { .. }
            | Self::EgressGone { .. }
            | Self::KeysRotated
            | Self::Live
            | Self::RecordingSeen { .. }
            | Self::FeedRestored
            | Self::SellerBack
            | Self::IngestDisabled
            | Self::IngestGone
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
            Self::FeedConnected => "Cloudflare notification: the encoder connected",
            Self::FeedDisconnected => "Cloudflare notification: the encoder disconnected",
            Self::FeedErrored { reason } => {
                return format!("Cloudflare notification: the feed was refused ({reason})");
            }
            Self::RecordingDone => "Cloudflare notification: a recording is ready or failed",
            Self::SellerJoined => "Agora notification: the seller joined",
            Self::SellerLeft => "Agora notification: the seller left",
            Self::PageCannotJoin { trouble } => trouble.describe(),
            Self::EgressChanged { .. } | Self::ConverterChanged => {
                "Agora notification: the egress changed"
            }
        };
        plain.to_owned()
    }
}
