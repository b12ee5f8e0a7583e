//! What a vendor speaks of and no relay of ours should have any more.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::api::Api;
use crate::relay::Mark;

/// Something a verified notification spoke of that no relay in work drives. Whoever hears of it looks before acting: the
/// account may hold other people's objects, and a notification may be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ghost {
    /// Cloudflare: an encoder has connected to a live input that is unknown, or whose relay is stopping or over.
    FeedConnected {
        /// The live input.
        live_input: String,
        /// Its relay, when that is still in work.
        relay_id: Option<Uuid>,
        /// When it connected, by Cloudflare's clock: before the relay's `stopped_at` it is no ghost.
        at: Option<DateTime<Utc>>,
    },
    /// Agora: a recorder bears a mark of this form, and no relay in work watches it. The mark may be another
    /// deployment's or another database's.
    Recorder {
        /// Its label.
        mark: Mark,
        /// Its session: what a debt without one waits for.
        sid: String,
        /// What happened to it.
        event: RecorderEvent,
    },
}

/// What Agora told of a recorder (`agora.md §6.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum RecorderEvent {
    /// 1: an error.
    Error,
    /// 11: its session is over.
    SessionExit,
    /// 12: Agora moved it.
    SessionFailover,
    /// 70: the page's recording began.
    PageStarted,
    /// 71: the page's recording is over.
    PageStopped,
    /// 100: its push changed.
    PushChanged,
}

impl RecorderEvent {
    /// The event of this number, if it is one of those that say something of a recorder's life.
    pub(super) fn of(event_type: i64) -> Option<Self> {
        match event_type {
            1 => Some(Self::Error),
            11 => Some(Self::SessionExit),
            12 => Some(Self::SessionFailover),
            70 => Some(Self::PageStarted),
            71 => Some(Self::PageStopped),
            100 => Some(Self::PushChanged),
            _ => None,
        }
    }
}

/// Hands a ghost on to who takes care of it: `Outside::on_ghost`.
pub(super) fn report_ghost(api: &Api, ghost: Ghost) {
    (api.on_ghost)(ghost);
}
