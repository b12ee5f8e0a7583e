use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::api::Api;
use crate::relay::ResourceTag;

/// Activity that no active relay accounts for. Check before acting: the object may not be ours, and the notification may
/// be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrayNotice {
    /// Cloudflare: an encoder connected to an ingest that is unknown, or whose relay is stopping or has ended.
    FeedConnected {
        /// The ingest's uid.
        ingest: String,
        /// Its relay, if still active.
        relay_id: Option<Uuid>,
        /// The time of the connection, by Cloudflare's clock. Before the relay's `stopped_at` it is not stray.
        at: Option<DateTime<Utc>>,
    },
    /// Agora: an egress that no active relay watches. Its tag may be of another deployment or database.
    Egress {
        /// Its resource tag.
        tag: ResourceTag,
        /// Its session, which a cleanup job may lack.
        sid: String,
        /// The event.
        event: EgressEvent,
    },
}

/// Agora's events of an egress (`agora.md §6.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum EgressEvent {
    /// 1: an error.
    Error,
    /// 11: the session ended.
    SessionExit,
    /// 12: Agora moved the session to another server.
    SessionFailover,
    /// 70: the page recording started.
    PageStarted,
    /// 71: the page recording stopped.
    PageStopped,
    /// 100: the state of the push changed.
    PushChanged,
}

impl EgressEvent {
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

pub(super) fn report_stray(api: &Api, stray: StrayNotice) {
    (api.on_stray)(stray);
}
