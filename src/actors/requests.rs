//! Requests to the relay service, and its answers.

use std::time::Duration;

use uuid::Uuid;

use crate::relay::{Durable, IngestOwner, Latency};
use crate::store::{StoreError, Unreadable};

/// Identifies repetitions of a request.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The `Idempotency-Key` header.
    pub key: String,
    /// A hash of the request's body.
    pub request_hash: String,
}

/// A validated start.
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
    /// The longest live time. `None`: the setting's.
    pub max_duration: Option<Duration>,
    /// When recordings are deleted. `None`: the setting's; `Some(None)`: never.
    pub delete_recording_after_days: Option<Option<u16>>,
    /// The platform's name. `None`: the setting's.
    pub platform: Option<String>,
    /// Whose the ingest is. `None`: the setting's.
    pub ingest_owner: Option<IngestOwner>,
    /// How far buyers are behind. `None`: the platform's own.
    pub latency: Option<Latency>,
    /// Its idempotency key.
    pub request_key: Option<RequestKey>,
    /// The longest wait for the egress to accept.
    pub wait: Duration,
}

/// The answer to a start.
#[derive(Debug, Clone)]
pub enum StartAnswer {
    /// The egress accepted.
    Started(Durable),
    /// The wait ended first; the start continues.
    Pending(Durable),
    /// The channel or key had a relay, or the relay was stopped meanwhile.
    Existing(Durable),
}

/// Why a start failed.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    #[error("the channel has a relay with another channel_name or seller_uid")]
    Conflict(Box<Durable>),
    /// Its outcome says why.
    #[error("the relay failed")]
    Failed(Box<Durable>),
    #[error("{setting} allows {limit} egresses at once, and as many run")]
    Quota { setting: &'static str, limit: u32 },
    #[error("no such platform is on; there are: {on}")]
    PlatformOff { on: String },
    #[error("the platform {platform} has no {capability}. {remedy}.")]
    Unsupported {
        platform: &'static str,
        capability: &'static str,
        remedy: &'static str,
    },
    #[error("shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A validated stop.
#[derive(Debug, Clone)]
pub struct StopRequest {
    /// The channel. `None`: an operator stops a relay by id.
    pub channel_id: Option<i64>,
    /// Stops only this relay, if given.
    pub relay_id: Option<Uuid>,
    /// Its idempotency key.
    pub request_key: Option<RequestKey>,
}

/// The answer to a stop.
#[derive(Debug, Clone)]
pub enum StopAnswer {
    /// The stop is stored and under way.
    Accepted(Durable),
    /// Nothing was running. Holds the named or the channel's last relay.
    NotRunning(Durable),
}

/// Why a stop failed.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, Clone, thiserror::Error)]
pub enum StopError {
    /// An unknown channel or relay, or another channel's relay.
    #[error("not found")]
    NotFound,
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a kept ingest was not given up.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, Clone, thiserror::Error)]
pub enum GiveUpError {
    #[error("the channel keeps no ingest at this platform")]
    NothingKept,
    /// Nor does the channel keep an ingest there.
    #[error("no such platform is on; there are: {on}")]
    PlatformOff { on: String },
    #[error("a relay or the cleanup uses the ingest")]
    InUse,
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a request failed.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    /// This process does not own the database yet.
    #[error("starting")]
    Starting,
    /// Nothing was stored.
    #[error("the database is not available: {0}")]
    Database(String),
    /// The request may be stored; then it is carried out.
    #[error("the database has not confirmed it: {0}")]
    Unconfirmed(String),
    #[error("{0}")]
    Internal(String),
}

/// For errors of reads before any write.
impl From<StoreError> for RequestError {
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

impl RequestError {
    /// For errors after a write: the request may be stored.
    pub(super) fn unconfirmed(error: StoreError) -> Self {
        if let StoreError::Unavailable(reason) = error {
            return Self::Unconfirmed(reason);
        }
        error.into()
    }
}

impl From<Unreadable> for RequestError {
    fn from(error: Unreadable) -> Self {
        Self::Internal(error.to_string())
    }
}
