//! The entries of a journal in plain words, for people.

use super::event::Hint;
use super::fact::Fact;

impl Fact {
    /// What happened, in plain words.
    #[must_use]
    pub fn words(&self) -> String {
        let plain = match self {
            Self::Requested { .. } => "a start was asked for: the channel's slot is taken",
            Self::LiveInputRequested { .. } => "Cloudflare is asked for a live input",
            Self::LiveInputReady { .. } => "the live input is there, and with it the HLS URL",
            Self::RecorderStarting { .. } => "Agora is asked to start a recorder",
            Self::RecorderReacquired { .. } => "the same recorder is asked for on a new resource",
            Self::RecorderElsewhere => "the recorder runs on the resource it was first asked for",
            Self::RecorderAccepted { .. } => "Agora has accepted the recorder",
            Self::RecorderLearnt { .. } => "a notification named the recorder's session",
            Self::Notified { hint } => return hint.words(),
            Self::RecorderRetiring => "the recorder must give way to another",
            Self::RecorderGone { proof } => return format!("the recorder is gone: {proof}"),
            Self::RecorderReplacing => "another recorder takes its place",
            Self::KeysRotated => {
                "the live input has new keys: nobody but the new recorder can publish"
            }
            Self::Live => "a buyer can press play",
            Self::VideoSeen { .. } => "Cloudflare records",
            Self::FeedLost { .. } => "the feed is gone",
            Self::FeedRestored => "the feed is back",
            Self::SellerAway { .. } => "the seller is away: buyers are told to wait",
            Self::SellerBack => "the seller is back",
            Self::Ending { outcome } => return format!("it ends: {}", outcome.code),
            Self::LiveInputDisabled => "the live input is disabled",
            Self::LiveInputGone => "the live input is gone",
            Self::Owed { debt } => {
                let owed = debt.owed.to_string().replace('_', " ");
                return format!("something is left for later: {owed}");
            }
            Self::TakenDown => "recorder and live input are down",
            Self::RecordingsAnswered => "recordings are looked for",
            Self::Recording { video } => return format!("the recording is {}", video.state),
            Self::RecordingsSettled { .. } => "the search for recordings is over",
            Self::Ended { .. } => "everything is accounted for",
        };
        plain.to_owned()
    }

    /// Whether it is a setback: something was lost, repeated, owed, or ended badly.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::LiveInputRequested { attempt } | Self::RecorderStarting { attempt, .. } => {
                *attempt > 1
            }
            Self::Ending { outcome } => !outcome.code.ended_well(),
            Self::RecordingsSettled { missing } => *missing,
            Self::RecorderReacquired { .. }
            | Self::RecorderElsewhere
            | Self::RecorderRetiring
            | Self::RecorderReplacing
            | Self::FeedLost { .. }
            | Self::SellerAway { .. }
            | Self::Owed { .. } => true,
            Self::Requested { .. }
            | Self::LiveInputReady { .. }
            | Self::RecorderAccepted { .. }
            | Self::RecorderLearnt { .. }
            | Self::Notified { .. }
            | Self::RecorderGone { .. }
            | Self::KeysRotated
            | Self::Live
            | Self::VideoSeen { .. }
            | Self::FeedRestored
            | Self::SellerBack
            | Self::LiveInputDisabled
            | Self::LiveInputGone
            | Self::TakenDown
            | Self::RecordingsAnswered
            | Self::Recording { .. }
            | Self::Ended { .. } => false,
        }
    }
}

impl Hint {
    fn words(&self) -> String {
        let plain = match self {
            Self::FeedConnected => "Cloudflare notified us: an encoder has connected",
            Self::FeedDisconnected => "Cloudflare notified us: the encoder has gone",
            Self::FeedErrored { reason } => {
                return format!("Cloudflare notified us: the feed was refused ({reason})");
            }
            Self::VideoDone => "Cloudflare notified us: a video is ready, or failed",
            Self::SellerJoined => "Agora notified us: the seller has joined",
            Self::SellerLeft => "Agora notified us: the seller has left",
            Self::PageCannotJoin { trouble } => trouble.words(),
            Self::RecorderChanged { .. } | Self::ConverterChanged => {
                "Agora notified us: something changed about the recorder"
            }
        };
        plain.to_owned()
    }
}
