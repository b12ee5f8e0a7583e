//! What the API calls: start, stop, find and sweep.

mod keys;
mod remote;
mod start;
mod stop;

use std::sync::Arc;

use tracing::Span;
use uuid::Uuid;

use super::directory::{Directory, RelaySnapshot};
use super::janitor::{self, Sweep, SweepError};
use super::registry::DeliverTo;
use super::relay_actor::Deliver;
use super::requests::StrayActivity;
use super::shared::{Readiness, Shared};
use super::strays;
use crate::relay::{Durable, Event, Hint, PageReport};
use crate::store::StoreError;

pub use remote::PageStatus;

const NO_ANSWER: &str = "no answer";

/// Starts, stops and finds relays. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayService {
    shared: Arc<Shared>,
}

impl RelayService {
    /// A service over the actors that share this state.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The active relays' snapshots.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// The state shared with the actors.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The channel's active relay: the slot holder, or else the newest.
    #[must_use]
    pub fn channel(&self, channel_id: i64) -> Option<Arc<RelaySnapshot>> {
        let relays = self.shared.directory.of_channel(channel_id);
        relays
            .iter()
            .find(|relay| relay.durable.phase.holds_slot())
            .or_else(|| relays.first())
            .cloned()
    }

    /// Whether starts and stops are accepted.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// Refuses starts from now on, but no stops.
    pub fn drain(&self) {
        self.shared.set_readiness(Readiness::Draining);
    }

    /// Whether starts are accepted, the database answers and vendors may be called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let database = self.shared.database_answers();
        self.shared.readiness() == Readiness::Ready && database && self.lease_holds()
    }

    /// Whether a webhook endpoint is configured.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.shared.delivers()
    }

    /// A relay's current state, from its snapshot or the database.
    pub async fn find(&self, relay_id: Uuid) -> Result<Option<Durable>, StoreError> {
        if let Some(relay) = self.shared.directory.get(relay_id) {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = self.shared.store.relay(relay_id).await?;
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
        if self.shared.directory.get(relay_id).is_none() {
            return self.forward_page_report(relay_id, attempt, report).await;
        }
        let message = Deliver::from(Event::Page { attempt, report });
        self.shared
            .send_to_registry(DeliverTo { relay_id, message });
    }

    /// Runs the janitor once. With `dry_run` nothing is removed.
    pub async fn sweep(&self, dry_run: bool) -> Result<Sweep, SweepError> {
        janitor::sweep(&self.shared, None, dry_run).await
    }

    /// Handles stray activity in the background.
    pub fn stray(&self, stray: StrayActivity) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let handled = match stray {
                StrayActivity::FeedConnected { ingest } => {
                    strays::feed_connected(&shared, ingest).await
                }
                StrayActivity::Egress { tag, sid, is_over } => {
                    strays::egress(&shared, tag, sid, is_over).await
                }
            };
            if let Err(error) = handled {
                tracing::warn!(%error, "stray activity not handled");
            }
        });
    }

    /// Passes a hint to its relay, if that runs here.
    pub fn hint(&self, relay_id: Uuid, hint: Hint) {
        let message = Deliver {
            event: Event::Hint(hint),
            stored: None,
            parent: Span::current(),
        };
        self.shared
            .send_to_registry(DeliverTo { relay_id, message });
    }
}
