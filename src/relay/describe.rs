//! Sentences that describe facts and hints to operators.

use super::event::Hint;
use super::fact::Fact;

impl Fact {
    /// A sentence for operators.
    #[must_use]
    pub fn describe(&self) -> String {
        let plain = match self {
            Self::Requested { .. } => "a start was asked for: the channel's slot is taken",
            Self::IngestRequested { .. } => "Cloudflare is asked for an ingest",
            Self::IngestReady { .. } => "the ingest is there, and with it the HLS URL",
            Self::EgressStarting { .. } => "Agora is asked to start an egress",
            Self::EgressReacquired { .. } => "the same egress is asked for on a new resource",
            Self::EgressElsewhere => "the egress runs on the resource it was first asked for",
            Self::EgressAccepted { .. } => "Agora has accepted the egress",
            Self::EgressDiscovered { .. } => "a notification named the egress's session",
            Self::Notified { hint } => return hint.describe(),
            Self::EgressRetiring => "the egress must give way to another",
            Self::EgressGone { proof } => return format!("the egress is gone: {proof}"),
            Self::EgressReplacing => "another egress takes its place",
            Self::KeysRotated => "the ingest has new keys: nobody but the new egress can publish",
            Self::Live => "a buyer can press play",
            Self::RecordingSeen { .. } => "Cloudflare records",
            Self::FeedLost { .. } => "the feed is gone",
            Self::FeedRestored => "the feed is back",
            Self::SellerAway { .. } => "the seller is away: buyers are told to wait",
            Self::SellerBack => "the seller is back",
            Self::Ending { outcome } => return format!("it ends: {}", outcome.code),
            Self::IngestDisabled => "the ingest is disabled",
            Self::IngestGone => "the ingest is gone",
            Self::CleanupAdded { cleanup_job } => {
                let cleanup = cleanup_job.cleanup.to_string().replace('_', " ");
                return format!("something is left for later: {cleanup}");
            }
            Self::TakenDown => "egress and ingest are down",
            Self::RecordingsAnswered => "recordings are looked for",
            Self::Recording { recording } => {
                return format!("the recording is {}", recording.state);
            }
            Self::RecordingsSettled { .. } => "the search for recordings is over",
            Self::Ended { .. } => "everything is accounted for",
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
            Self::FeedConnected => "Cloudflare notified us: an encoder has connected",
            Self::FeedDisconnected => "Cloudflare notified us: the encoder has gone",
            Self::FeedErrored { reason } => {
                return format!("Cloudflare notified us: the feed was refused ({reason})");
            }
            Self::RecordingDone => "Cloudflare notified us: a recording is ready, or failed",
            Self::SellerJoined => "Agora notified us: the seller has joined",
            Self::SellerLeft => "Agora notified us: the seller has left",
            Self::PageCannotJoin { trouble } => trouble.describe(),
            Self::EgressChanged { .. } | Self::ConverterChanged => {
                "Agora notified us: something changed about the egress"
            }
        };
        plain.to_owned()
    }
}
