use serde::{Deserialize, Serialize};

/// A message to the marketplace.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
pub enum Announcement {
    /// The channel's slot is taken.
    #[strum(serialize = "relay.starting")]
    Starting,
    /// Buyers can watch.
    #[strum(serialize = "relay.live")]
    Live,
    /// The feed is gone or the seller is away.
    #[strum(serialize = "relay.interrupted")]
    Interrupted,
    /// Feed and seller are back.
    #[strum(serialize = "relay.resumed")]
    Resumed,
    /// Ended as intended.
    #[strum(serialize = "relay.stopped")]
    Stopped,
    /// Failed.
    #[strum(serialize = "relay.failed")]
    Failed,
    /// A recording can be played.
    #[strum(serialize = "recording.ready")]
    RecordingReady,
    /// No recording was found.
    #[strum(serialize = "recording.missing")]
    RecordingMissing,
    /// Finished.
    #[strum(serialize = "relay.ended")]
    Ended,
}
