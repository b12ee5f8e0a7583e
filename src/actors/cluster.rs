//! The other nodes on this database. On SQLite there is none: the file's lock makes this process the only one. On PostgreSQL it is
//! one of a fleet: it reads other nodes' relays from the store, requests their stops there, and sends peer messages.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::directory::Directory;
use super::requests::{RequestError, StopAnswer, StopError};
use crate::relay::{Durable, Notice, PageReport, Subject};
use crate::store::{Store, StoreError, StoredRelay};
use crate::vendors::lease::Lease;

/// After this a stop is answered as pending. Owners usually act within a second.
const OWNER_ACTS_WITHIN: Duration = Duration::from_secs(2);

/// What this process asks of other nodes.
#[derive(Debug, Clone)]
pub enum Cluster {
    /// No other nodes: SQLite.
    Single(Store),
    /// Maybe others: PostgreSQL.
    Fleet(Store),
}

impl Cluster {
    /// The cluster on this database.
    #[must_use]
    pub fn on(store: Store) -> Self {
        match store.is_shared() {
            true => Self::Fleet(store),
            false => Self::Single(store),
        }
    }

    /// The lease to begin with. On SQLite the file's lock replaces it.
    #[must_use]
    pub fn lease(&self) -> Lease {
        match self {
            Self::Single(_) => Lease::for_good(),
            Self::Fleet(_) => Lease::not_yet(),
        }
    }

    /// Where nodes share the results of polls, if there may be several.
    #[must_use]
    pub fn shared_polls(&self) -> Option<Store> {
        match self {
            Self::Single(_) => None,
            Self::Fleet(store) => Some(store.clone()),
        }
    }

    pub(super) fn store(&self) -> &Store {
        match self {
            Self::Single(store) | Self::Fleet(store) => store,
        }
    }

    /// The relay as stored, if other nodes may own it or request its stop.
    pub(super) async fn relay(&self, relay_id: Uuid) -> Result<Option<StoredRelay>, StoreError> {
        match self {
            Self::Single(_) => Ok(None),
            Self::Fleet(store) => store.relay(relay_id).await,
        }
    }

    /// All other nodes' unfinished relays. `epoch`: this node's.
    pub(super) async fn relays(&self, epoch: i64) -> Result<Vec<StoredRelay>, StoreError> {
        match self {
            Self::Single(_) => Ok(Vec::new()),
            Self::Fleet(store) => store.unfinished_but_of(epoch).await,
        }
    }

    /// A channel's unfinished relays that are not in the directory.
    pub(super) async fn relays_of(
        &self,
        channel_id: i64,
        directory: &Directory,
    ) -> Result<Vec<StoredRelay>, StoreError> {
        let Self::Fleet(store) = self else {
            return Ok(Vec::new());
        };
        let mut relays = store.unfinished_of_channel(channel_id).await?;
        relays.retain(|stored| directory.get(*stored.id).is_none());
        Ok(relays)
    }

    /// The channel's slot holder, unless the directory has it. `is_complete`: the directory has all relays of this node.
    pub(super) async fn slot_holder(
        &self,
        channel_id: i64,
        is_complete: bool,
    ) -> Result<Option<StoredRelay>, StoreError> {
        match self {
            Self::Single(_) if is_complete => Ok(None),
            Self::Single(store) | Self::Fleet(store) => store.slot_holder(channel_id).await,
        }
    }

    /// The channel's newest relay. `here`: the newest that the directory has; another node may have a newer one.
    pub(super) async fn newest_relay(
        &self,
        channel_id: i64,
        here: Option<Durable>,
    ) -> Result<Option<Durable>, RequestError> {
        match (self, here) {
            (Self::Single(_), Some(here)) => Ok(Some(here)),
            (Self::Single(store) | Self::Fleet(store), _) => {
                let stored = store.newest_relay(channel_id).await?;
                Ok(stored.as_ref().map(StoredRelay::durable).transpose()?)
            }
        }
    }

    /// The egresses of all nodes. `here`: this node's.
    pub(super) async fn egresses(&self, here: u64) -> Result<u64, StoreError> {
        match self {
            Self::Single(_) => Ok(here),
            Self::Fleet(store) => store.egresses().await,
        }
    }

    /// Stops a relay that has no actor here.
    pub(super) async fn stop(
        &self,
        relay_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<StopAnswer, StopError> {
        match self {
            Self::Single(store) => {
                let durable = read(store, relay_id).await?;
                if durable.phase.holds_slot() {
                    let reason = "the relay's actor ended while the stop waited";
                    return Err(RequestError::Unconfirmed(reason.into()).into());
                }
                Ok(StopAnswer::NotRunning(durable))
            }
            Self::Fleet(store) => stop_at_owner(store, relay_id, now).await,
        }
    }

    /// The epochs that own the unfinished relays with this subject, if there are other nodes.
    pub(super) async fn owners(&self, subject: &Subject) -> Result<Vec<i64>, StoreError> {
        match self {
            Self::Single(_) => Ok(Vec::new()),
            Self::Fleet(store) => store.owners(subject).await,
        }
    }

    pub(super) async fn send(&self, recipient: i64, peer_message: &PeerMessage) {
        let sent = match serde_json::to_string(peer_message) {
            Ok(body) => self.store().send_peer_message(recipient, body).await,
            Err(error) => Err(StoreError::Corrupt(error.to_string())),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, recipient, "peer message not sent");
        }
    }
}

/// A message to another node. It saves time and may be lost: nothing depends on it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PeerMessage {
    /// For a relay of the recipient.
    PageReport {
        relay_id: Uuid,
        attempt: u32,
        report: PageReport,
    },
    PredecessorDown {
        relay_id: Uuid,
    },
    /// About a relay of the recipient.
    Notice(Notice),
}

impl PeerMessage {
    /// `None`: only a later version knows the message.
    pub(super) fn read(peer_message: &str) -> Option<Self> {
        serde_json::from_str(peer_message)
            .inspect_err(|error| tracing::debug!(%error, "unknown peer message"))
            .ok()
    }
}

async fn stop_at_owner(
    store: &Store,
    relay_id: Uuid,
    now: DateTime<Utc>,
) -> Result<StopAnswer, StopError> {
    // Before the request: the owner may act at once.
    let mut stops = store.stop_signals();
    let requested = store.request_stop(relay_id, now).await;
    if !requested.map_err(RequestError::unconfirmed)? {
        return Ok(StopAnswer::NotRunning(read(store, relay_id).await?));
    }
    let deadline = Instant::now() + OWNER_ACTS_WITHIN;
    loop {
        let signal = timeout_at(deadline, stops.next(relay_id)).await;
        let durable = read(store, relay_id).await?;
        // If the owner has not acted, it or a later one will: the request is stored.
        if signal.is_err() || !durable.phase.holds_slot() {
            return Ok(StopAnswer::Accepted(durable));
        }
    }
}

async fn read(store: &Store, relay_id: Uuid) -> Result<Durable, StopError> {
    let stored = store.relay(relay_id).await;
    let stored = stored.map_err(RequestError::unconfirmed)?;
    let stored = stored.ok_or(StopError::NotFound)?;
    Ok(stored.durable().map_err(RequestError::from)?)
}
