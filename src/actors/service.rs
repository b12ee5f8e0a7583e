//! What the API calls: start, stop, find and sweep.

mod ingests;
mod keys;
mod remote;
mod start;
mod stop;

use std::sync::Arc;

use uuid::Uuid;

use super::cluster::PeerMessage;
use super::context::NodeContext;
use super::directory::{Directory, RelaySnapshot};
use super::janitor::{self, Sweep, SweepError};
use super::messages::Mailboxes;
use super::notices::Notices;
use super::status::{NodeStatus, Readiness};
use crate::relay::{Durable, Event, Notice, PageReport};
use crate::store::StoreError;

pub use remote::PageStatus;

/// Starts, stops and finds relays. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayService {
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    notices: Arc<Notices>,
}

impl RelayService {
    pub(super) fn new(
        context: Arc<NodeContext>,
        status: Arc<NodeStatus>,
        mailboxes: Arc<Mailboxes>,
        notices: Arc<Notices>,
    ) -> Self {
        Self {
            context,
            status,
            mailboxes,
            notices,
        }
    }

    /// The active relays' snapshots.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.context.directory
    }

    /// The channel's active relay: the slot holder, or else the newest.
    #[must_use]
    pub fn channel(&self, channel_id: i64) -> Option<Arc<RelaySnapshot>> {
        let relays = self.context.directory.of_channel(channel_id);
        relays
            .iter()
            .find(|relay| relay.durable.phase.holds_slot())
            .or_else(|| relays.first())
            .cloned()
    }

    /// Whether starts and stops are accepted.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.status.readiness()
    }

    /// Refuses starts from now on, but no stops.
    pub fn drain(&self) {
        self.status.set_readiness(Readiness::Draining);
    }

    /// Whether the last write or check reached the database.
    #[must_use]
    pub fn database_answers(&self) -> bool {
        self.status.database_answers()
    }

    /// Whether starts are accepted, the database answers and vendors may be called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let is_ready = self.readiness() == Readiness::Ready;
        is_ready && self.database_answers() && self.lease_holds()
    }

    /// Whether a webhook endpoint is configured.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.context.delivers()
    }

    /// A relay's current state, from its snapshot or the database.
    pub async fn find(&self, relay_id: Uuid) -> Result<Option<Durable>, StoreError> {
        if let Some(relay) = self.context.directory.get(relay_id) {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = self.context.store.relay(relay_id).await?;
        stored
            .map(|stored| {
                stored
                    .durable()
                    .map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .transpose()
    }

    /// Passes a recorder page's report to its relay.
    pub async fn page_report(&self, relay_id: Uuid, attempt: u32, report: PageReport) {
        let cluster = &self.context.cluster;
        if self.context.directory.get(relay_id).is_some() {
            let event = Event::Page { attempt, report };
            self.mailboxes.deliver(relay_id, event);
        } else if let Ok(Some(stored)) = cluster.relay(relay_id).await {
            let peer_message = PeerMessage::PageReport {
                relay_id,
                attempt,
                report,
            };
            cluster.send(stored.epoch, &peer_message).await;
        }
    }

    /// Runs the janitor once. With `dry_run` nothing is removed.
    pub async fn sweep(&self, dry_run: bool) -> Result<Sweep, SweepError> {
        janitor::sweep(&self.context, self.status.namespace(), None, dry_run).await
    }

    /// Gives a verified notification to the relay that it is about, as a hint. If no relay is, or the relay no longer uses the
    /// object, it is stray activity.
    pub async fn notice(&self, notice: Notice) -> Result<(), StoreError> {
        self.notices.take(notice).await
    }
}
