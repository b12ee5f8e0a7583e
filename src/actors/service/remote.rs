//! Relays that another process drives: known from the database, told by way of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::RelayService;
use super::stop::unconfirmed;
use crate::actors::directory::RelaySnapshot;
use crate::actors::fleet::peer_messages::{self, PeerMessage};
use crate::actors::records;
use crate::actors::requests::{StopAnswer, StopError};
use crate::relay::{Durable, PageReport, Relay};
use crate::store::{StoreError, StoredRelay};

/// Whoever drives a relay acts on a stop within a second; then its wish is answered as stored, and nothing more.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks whether it did.
const POLL_EVERY: Duration = Duration::from_millis(25);
/// What a relay's node is called when it has none, as it is just changing hands.
const NOBODY: &str = "none";

/// What a link to the recorder's page leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatus {
    /// Its egress is the relay's.
    Current,
    /// Its relay is in work, its egress is not the relay's any more.
    Superseded,
    /// Its relay is over.
    Over,
}

/// The page_status of a recorder's page.
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
    /// Stores the wish to stop a relay, and tells whoever drives it. Waits a little until that was heard.
    pub(super) async fn stop_remote(&self, relay_id: Uuid) -> Result<StopAnswer, StopError> {
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        let asked = store
            .request_stop(relay_id, now)
            .await
            .map_err(unconfirmed)?;
        if asked {
            let heard = async {
                while self.stored(relay_id).await?.phase.holds_slot() {
                    tokio::time::sleep(POLL_EVERY).await;
                }
                Ok::<_, StopError>(())
            };
            // Whoever has it next finds the wish.
            tokio::time::timeout(HEARD_WITHIN, heard)
                .await
                .unwrap_or(Ok(()))?;
        }
        let durable = self.stored(relay_id).await?;
        Ok(match asked {
            true => StopAnswer::Accepted(durable),
            false => StopAnswer::NotRunning(durable),
        })
    }

    async fn stored(&self, relay_id: Uuid) -> Result<Durable, StopError> {
        let stored = self.shared.store.relay(relay_id).await;
        let stored = stored.map_err(unconfirmed)?.ok_or(StopError::NotFound)?;
        records::durable(&stored).map_err(|error| StopError::Internal(error.to_string()))
    }

    /// What a link to the recorder's page leads to; none: nobody knows before the database was read, and a page that left
    /// could not be called back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page_status(
        &self,
        relay_id: Uuid,
        attempt: u32,
    ) -> Result<Option<PageStatus>, StoreError> {
        if let Some(relay) = self.shared.directory.get(relay_id) {
            return Ok(Some(page_status(&relay.durable, attempt)));
        }
        if self.shared.readiness() == crate::actors::Readiness::Starting {
            return Ok(None);
        }
        let stored = match self.shared.store.is_shared() {
            true => self.shared.store.relay(relay_id).await?,
            false => None,
        };
        let unfinished = stored.filter(|stored| stored.row.ended_at.is_none());
        let page_status =
            unfinished.map_or(PageStatus::Over, |stored| match records::durable(&stored) {
                Ok(durable) => page_status(&durable, attempt),
                Err(_) => PageStatus::Over,
            });
        Ok(Some(page_status))
    }

    /// Tells whoever drives a relay what its recorder's page said here.
    pub(super) async fn forward_page_report(
        &self,
        relay_id: Uuid,
        attempt: u32,
        report: PageReport,
    ) {
        let owner = match self.shared.store.relay(relay_id).await {
            Ok(stored) => stored.map(|stored| stored.epoch),
            Err(_) => None,
        };
        if let Some(epoch) = owner {
            let peer_message = PeerMessage::PageReport {
                relay_id,
                attempt,
                report,
            };
            peer_messages::send(&self.shared, epoch, &peer_message).await;
        }
    }

    /// Hands a verified notification that means nothing here to the other processes.
    pub async fn pass_on(&self, endpoint: &str, notice: Value) {
        if self.shared.store.is_shared() {
            peer_messages::pass_on(&self.shared, endpoint, notice).await;
        }
    }

    /// All relays in work, and what drives each: this process's as they are now, the others' as they are stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(&self) -> Result<Vec<(Arc<RelaySnapshot>, String)>, StoreError> {
        let shared = &self.shared;
        let here = shared.directory.all().into_iter();
        let mut all: Vec<_> = here.map(|relay| (relay, shared.node.clone())).collect();
        if shared.store.is_shared() {
            let unfinished = shared.store.unfinished_but_of(shared.epoch()).await?;
            let remote = unfinished
                .iter()
                .filter(|stored| shared.directory.get(stored.row.id).is_none());
            all.extend(remote.filter_map(|stored| self.snapshot(stored)));
        }
        Ok(all)
    }

    /// A relay of another process's, as it is stored; none when it cannot be read.
    fn snapshot(&self, stored: &StoredRelay) -> Option<(Arc<RelaySnapshot>, String)> {
        let durable = records::durable(stored).ok()?;
        let heard = durable.phase_since;
        let relay = Relay::load(durable, 1);
        let name = self.shared.fleet.name_of(stored.epoch);
        Some((
            Arc::new(RelaySnapshot::before_its_actor(&relay, heard)),
            name.unwrap_or_else(|| NOBODY.to_owned()),
        ))
    }

    /// Why starts are not taken, for people.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.shared.fleet.waiting_for()
    }

    /// Whether the vendors may be called: the lease on what this process drives holds.
    #[must_use]
    pub fn lease_holds(&self) -> bool {
        self.shared.vendors.lease.holds()
    }
}
