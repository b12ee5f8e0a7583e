//! What a vendor speaks of and no relay of ours should have any more.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::api::Api;
use crate::relay::ResourceTag;

/// Something a verified notification spoke of that no relay in work drives. Whoever hears of it looks before acting: the
/// account may hold other people's objects, and a notification may be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// Cloudflare: an encoder has connected to an ingest that is unknown, or whose relay is stopping or over.
    FeedConnected {
        /// The ingest.
        ingest: String,
        /// Its relay, when that is still in work.
        relay_id: Option<Uuid>,
        /// When it connected, by Cloudflare's clock: before the relay's `stopped_at` it is no stray.
        at: Option<DateTime<Utc>>,
    },
    /// Agora: an egress bears a tag of this form, and no relay in work watches it. The mark may be another
    /// deployment's or another database's.
    Egress {
        /// Its label.
        tag: ResourceTag,
        /// Its session: what a cleanup job without one waits for.
        sid: String,
        /// What happened to it.
        event: EgressEvent,
    },
}

/// What Agora told of an egress (`agora.md §6.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum EgressEvent {
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

impl EgressEvent {
    /// The event of this number, if it is one of those that say something of an egress's life.
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

/// Hands a stray on to who takes care of it: `Outside::on_stray`.
pub(super) fn report_stray(api: &Api, stray: Stray) {
    (api.on_stray)(stray);
}
