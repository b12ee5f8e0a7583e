//! Relays of other processes, read and reached through the database.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::RelayService;
use super::stop::unconfirmed;
use crate::actors::directory::RelaySnapshot;
use crate::actors::peer_messages::{self, PeerMessage};
use crate::actors::requests::{RequestError, StopAnswer, StopError};
use crate::relay::{Durable, PageReport, Relay};
use crate::store::{StoreError, StoredRelay};

/// After this a stop is answered as pending. Owners usually act within a second.
const OWNER_ACTS_WITHIN: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(25);
const NO_NODE: &str = "none";

/// Whether a relay still uses a recorder page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatus {
    /// The relay uses the page's egress.
    Current,
    /// The relay is active but no longer uses the page's egress.
    Superseded,
    /// The relay is over.
    Over,
}

fn page_status(durable: &Durable, attempt: u32) -> PageStatus {
    let egress = durable.egress.as_ref();
    let superseded = egress.is_some_and(|egress| {
        egress.attempt > attempt || (egress.attempt == attempt && !egress.stage.is_open())
    });
    if superseded || !durable.phase.holds_slot() {
        PageStatus::Superseded
    } else {
        PageStatus::Current
    }
}

impl RelayService {
    pub(super) async fn stop_remote(&self, relay_id: Uuid) -> Result<StopAnswer, StopError> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let accepted = store
            .request_stop(relay_id, now)
            .await
            .map_err(unconfirmed)?;
        let stored = async || -> Result<Durable, StopError> {
            let stored = store.relay(relay_id).await.map_err(unconfirmed)?;
            let stored = stored.ok_or(StopError::NotFound)?;
            Ok(stored.durable().map_err(RequestError::from)?)
        };
        if accepted {
            let stopped = async {
                while stored().await?.phase.holds_slot() {
                    tokio::time::sleep(POLL_EVERY).await;
                }
                Ok::<_, StopError>(())
            };
            // The request is stored: any later owner finds it.
            tokio::time::timeout(OWNER_ACTS_WITHIN, stopped)
                .await
                .unwrap_or(Ok(()))?;
        }
        let durable = stored().await?;
        Ok(match accepted {
            true => StopAnswer::Accepted(durable),
            false => StopAnswer::NotRunning(durable),
        })
    }

    /// `None` until relays are loaded, so that no page is sent away by mistake.
    pub async fn page_status(
        &self,
        relay_id: Uuid,
        attempt: u32,
    ) -> Result<Option<PageStatus>, StoreError> {
        if let Some(relay) = self.context.directory.get(relay_id) {
            return Ok(Some(page_status(&relay.durable, attempt)));
        }
        if self.status.readiness() == crate::actors::Readiness::Starting {
            return Ok(None);
        }
        let stored = match self.context.store.is_shared() {
            true => self.context.store.relay(relay_id).await?,
            false => None,
        };
        let unfinished = stored.filter(|stored| stored.ended_at.is_none());
        let page_status = unfinished.map_or(PageStatus::Over, |stored| match stored.durable() {
            Ok(durable) => page_status(&durable, attempt),
            Err(_) => PageStatus::Over,
        });
        Ok(Some(page_status))
    }

    pub(super) async fn forward_page_report(
        &self,
        relay_id: Uuid,
        attempt: u32,
        report: PageReport,
    ) {
        let owner = match self.context.store.relay(relay_id).await {
            Ok(stored) => stored.map(|stored| stored.epoch),
            Err(_) => None,
        };
        if let Some(epoch) = owner {
            let peer_message = PeerMessage::PageReport {
                relay_id,
                attempt,
                report,
            };
            peer_messages::send(&self.context.store, epoch, &peer_message).await;
        }
    }

    /// All active relays with their node's name; remote ones as stored.
    pub async fn all(&self) -> Result<Vec<(Arc<RelaySnapshot>, String)>, StoreError> {
        let context = &self.context;
        let here = context.directory.all().into_iter();
        let mut all: Vec<_> = here.map(|relay| (relay, context.node.clone())).collect();
        if context.store.is_shared() {
            let unfinished = context.store.unfinished_but_of(self.status.epoch()).await?;
            let remote = unfinished
                .iter()
                .filter(|stored| context.directory.get(*stored.id).is_none());
            all.extend(remote.filter_map(|stored| self.snapshot(stored)));
        }
        Ok(all)
    }

    fn snapshot(&self, stored: &StoredRelay) -> Option<(Arc<RelaySnapshot>, String)> {
        let durable = stored.durable().ok()?;
        let last_event_at = durable.phase_since;
        let relay = Relay::load(durable, 1);
        let name = self.status.name_of(stored.epoch);
        Some((
            Arc::new(RelaySnapshot::before_its_actor(&relay, last_event_at)),
            name.unwrap_or_else(|| NO_NODE.to_owned()),
        ))
    }

    /// Why starts are not accepted, as a sentence.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.status.waiting_for()
    }

    /// Whether this process's lease allows vendor calls.
    #[must_use]
    pub fn lease_holds(&self) -> bool {
        self.context.vendors.lease.holds()
    }
}
