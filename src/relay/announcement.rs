use serde::{Deserialize, Serialize};

/// A message to the marketplace.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[allow(missing_docs, reason = "the phases document the rest")]
pub enum Announcement {
    /// The channel's slot is taken.
    #[strum(serialize = "relay.starting")]
    Starting,
    #[strum(serialize = "relay.live")]
    Live,
    #[strum(serialize = "relay.interrupted")]
    Interrupted,
    #[strum(serialize = "relay.resumed")]
    Resumed,
    /// The relay is ending as intended.
    #[strum(serialize = "relay.stopped")]
    Stopped,
    /// The relay is ending because something failed.
    #[strum(serialize = "relay.failed")]
    Failed,
    /// A recording can be played.
    #[strum(serialize = "recording.ready")]
    RecordingReady,
    #[strum(serialize = "recording.missing")]
    RecordingMissing,
    #[strum(serialize = "relay.ended")]
    Ended,
}
