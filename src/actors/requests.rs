//! What is asked of the actors, and what they answer.

use std::time::Duration;

use uuid::Uuid;

use crate::relay::{Durable, ResourceTag};
use crate::store::StoreError;

/// What makes a repeated request the same one.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The `Idempotency-Key`.
    pub key: String,
    /// A hash of what was asked for.
    pub request_hash: String,
}

/// A start, already validated.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The marketplace's channel: 1 to 2^53 - 1.
    pub channel_id: i64,
    /// Agora's channel name.
    pub channel_name: String,
    /// The seller's uid.
    pub seller_uid: u32,
    /// Whether recordings are kept.
    pub enable_recording: bool,
    /// The longest the relay may be live; none: the setting.
    pub max_duration: Option<Duration>,
    /// Cloudflare's `deleteRecordingAfterDays`; outer none: the setting; inner none: never.
    pub delete_recording_after_days: Option<Option<u16>>,
    /// The request's idempotency key.
    pub request_key: Option<RequestKey>,
    /// How long to wait for the egress to accept.
    pub wait: Duration,
}

/// What became of a start.
#[derive(Debug, Clone)]
pub enum StartAnswer {
    /// The egress has accepted.
    Started(Durable),
    /// The wait ran out first; it goes on.
    Pending(Durable),
    /// The channel had a relay already; or this key did; or the relay was stopped while the start waited.
    Existing(Durable),
}

/// Why there is no relay to answer with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The channel's relay has another name or seller.
    #[error("the channel has a relay with another channel_name or seller_uid")]
    Conflict(Box<Durable>),
    /// The relay failed while the start waited; its outcome says why. It has cleaned up, or is doing so.
    #[error("the relay failed")]
    Failed(Box<Durable>),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    /// As many egresses run as the settings allow.
    #[error("{setting} allows {limit} egresses at once, and as many run")]
    Quota {
        /// The setting.
        setting: &'static str,
        /// What it says.
        limit: u32,
    },
    /// Not ready: the database is not ours yet.
    #[error("starting")]
    Starting,
    /// Going down.
    #[error("shutting down")]
    ShuttingDown,
    /// The database did not take it: nothing was begun.
    #[error("the database is not available: {0}")]
    Database(String),
    /// The database did not answer in time: what it has taken is carried out.
    #[error("the database has not confirmed it: {0}")]
    Unconfirmed(String),
    /// A fault of our own.
    #[error("{0}")]
    Internal(String),
}

/// A stop.
#[derive(Debug, Clone)]
pub struct StopRequest {
    /// The channel; none: by relay alone (an operator's stop).
    pub channel_id: Option<i64>,
    /// Only this relay, if given.
    pub relay_id: Option<Uuid>,
    /// The request's idempotency key.
    pub request_key: Option<RequestKey>,
}

/// What became of a stop.
#[derive(Debug, Clone)]
pub enum StopAnswer {
    /// It is stored, and going on.
    Accepted(Durable),
    /// Nothing was running: the channel's last relay, or the one that was named.
    NotRunning(Durable),
}

/// Why nothing could be stopped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StopError {
    /// A channel never seen, an unknown relay, or another channel's.
    #[error("not found")]
    NotFound,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    /// Not ready: the database is not ours yet.
    #[error("starting")]
    Starting,
    /// The database did not take it: nothing is stopped.
    #[error("the database is not available: {0}")]
    Database(String),
    /// The database did not answer in time: the stop may be stored, now or later, and is then carried out.
    #[error("the database has not confirmed it: {0}")]
    Unconfirmed(String),
    /// A fault of our own.
    #[error("{0}")]
    Internal(String),
}

/// Something a verified notification spoke of that no relay in work drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrayActivity {
    /// Cloudflare: an encoder has connected to an ingest that is unknown, or whose relay is stopping or over.
    FeedConnected {
        /// The ingest.
        ingest: String,
    },
    /// Agora: an egress bears a tag, and no relay in work watches it.
    Egress {
        /// Its label: the tag may be another deployment's or another database's.
        tag: ResourceTag,
        /// Its session: what a cleanup job without one waits for.
        sid: String,
        /// Whether the notification says that it is over.
        is_over: bool,
    },
}

/// An error of a read, before anything was written.
impl From<StoreError> for StopError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Database(reason),
            StoreError::Refused(_)
            | StoreError::Corrupt(_)
            | StoreError::BadCursor
            | StoreError::BadUrl(_) => Self::Internal(error.to_string()),
        }
    }
}
