//! The door to the actors: what the API asks of them.

mod keys;
mod remote;
mod start;
mod stop;

use std::sync::Arc;

use tracing::Span;
use uuid::Uuid;

use super::directory::{Directory, RelaySnapshot};
use super::janitor::{self, Sweep, SweepError};
use super::records;
use super::registry::DeliverTo;
use super::relay_actor::Deliver;
use super::requests::StrayActivity;
use super::shared::{Readiness, Shared};
use super::strays;
use crate::relay::{Durable, Event, Hint, PageReport};
use crate::store::StoreError;

pub use remote::PageStatus;

/// What is said while this process has lost the database, and nobody answers there.
const AWAY: &str = "nobody answers";

/// The actors' door. Cheap to clone; works from any thread.
#[derive(Debug, Clone)]
pub struct RelayService {
    shared: Arc<Shared>,
}

impl RelayService {
    /// The door to the actors that share this.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What is in work.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// What the actors share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The channel's newest relay in work: the one that holds its slot, if one does.
    #[must_use]
    pub fn channel(&self, channel_id: i64) -> Option<Arc<RelaySnapshot>> {
        let relays = self.shared.directory.of_channel(channel_id);
        relays
            .iter()
            .find(|relay| relay.durable.phase.holds_slot())
            .or_else(|| relays.first())
            .cloned()
    }

    /// Whether starts and stops are taken.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// Going down: no new starts; stops are still stored.
    pub fn drain(&self) {
        self.shared.set_readiness(Readiness::Draining);
    }

    /// Whether starts are taken, the database answers and vendors may be called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let database = self.shared.database_answers();
        self.shared.readiness() == Readiness::Ready && database && self.lease_holds()
    }

    /// Whether the marketplace has an endpoint that is told.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.shared.delivers()
    }

    /// A relay as it is now: in work, or stored.
    ///
    /// # Errors
    /// When the database does not answer, or what it holds cannot be read.
    pub async fn find(&self, relay_id: Uuid) -> Result<Option<Durable>, StoreError> {
        if let Some(relay) = self.shared.directory.get(relay_id) {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = self.shared.store.relay(relay_id).await?;
        stored
            .map(|stored| {
                records::durable(&stored).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .transpose()
    }

    /// The recorder's page reported: a page that is to stay.
    pub async fn page_report(&self, relay_id: Uuid, attempt: u32, report: PageReport) {
        if self.shared.directory.get(relay_id).is_none() {
            return self.forward_page_report(relay_id, attempt, report).await;
        }
        let tell = Deliver::from(Event::Page { attempt, report });
        self.shared.send_to_registry(DeliverTo { relay_id, tell });
    }

    /// One pass of the janitor over what the vendors hold; with `dry_run` nothing is removed.
    ///
    /// # Errors
    /// When a list or a deletion fails, or the database does not answer.
    pub async fn sweep(&self, dry_run: bool) -> Result<Sweep, SweepError> {
        janitor::sweep(&self.shared, None, dry_run).await
    }

    /// A vendor's verified notification spoke of something no relay in work drives.
    pub fn stray(&self, stray: StrayActivity) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let dealt_with = match stray {
                StrayActivity::FeedConnected { ingest } => {
                    strays::feed_connected(&shared, ingest).await
                }
                StrayActivity::Egress { tag, sid, is_over } => {
                    strays::egress(&shared, tag, sid, is_over).await
                }
            };
            if let Err(error) = dealt_with {
                // The janitor is the net.
                tracing::warn!(%error, "a stray was not dealt with");
            }
        });
    }

    /// A vendor's verified notification about a relay in work.
    pub fn hint(&self, relay_id: Uuid, hint: Hint) {
        let tell = Deliver {
            event: Event::Hint(hint),
            stored: None,
            parent: Span::current(),
        };
        self.shared.send_to_registry(DeliverTo { relay_id, tell });
    }
}
