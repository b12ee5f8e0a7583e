//! Relays of other processes, read and reached through the database.

use std::sync::Arc;

use uuid::Uuid;

use super::RelayService;
use crate::actors::directory::RelaySnapshot;
use crate::actors::status::Readiness;
use crate::relay::{Durable, Relay};
use crate::store::{StoreError, StoredRelay};

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
    /// `None` until relays are loaded, so that no page is sent away by mistake.
    pub async fn page_status(
        &self,
        relay_id: Uuid,
        attempt: u32,
    ) -> Result<Option<PageStatus>, StoreError> {
        if let Some(relay) = self.context.directory.get(relay_id) {
            return Ok(Some(page_status(&relay.durable, attempt)));
        }
        if self.readiness() == Readiness::Starting {
            return Ok(None);
        }
        let stored = self.context.cluster.relay(relay_id).await?;
        let unfinished = stored.filter(|stored| stored.ended_at.is_none());
        let page_status = unfinished.map_or(PageStatus::Over, |stored| match stored.durable() {
            Ok(durable) => page_status(&durable, attempt),
            Err(_) => PageStatus::Over,
        });
        Ok(Some(page_status))
    }

    /// The channel's slot holder, if it is not in the directory.
    pub async fn remote_slot_holder(
        &self,
        channel_id: i64,
    ) -> Result<Option<StoredRelay>, StoreError> {
        let is_complete = self.readiness() == Readiness::Ready;
        self.context
            .cluster
            .slot_holder(channel_id, is_complete)
            .await
    }

    /// All active relays with their node's name; remote ones as stored.
    pub async fn all(&self) -> Result<Vec<(Arc<RelaySnapshot>, String)>, StoreError> {
        let context = &self.context;
        let here = context.directory.all().into_iter();
        let mut all: Vec<_> = here.map(|relay| (relay, context.node.clone())).collect();
        let unfinished = context.cluster.relays(self.status.epoch()).await?;
        let remote = unfinished
            .iter()
            .filter(|stored| context.directory.get(*stored.id).is_none());
        all.extend(remote.filter_map(|stored| self.snapshot(stored)));
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
