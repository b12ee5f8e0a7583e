//! What this node drives of all there is: claimed, released to others, and compared with what the database says.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use super::balance::{self, BalanceStep};
use super::{NodeSession, POLL_HOME};
use crate::actors::registry::{Adopt, Evict, HandOff, ListRelays};
use crate::store::{Fleet, StoreError, StoredRelay, until_done};
use crate::telemetry::metrics;

/// Between two comparisons of what this node has with what the database says it has.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);

impl NodeSession {
    /// Takes its share of what is free, and gives up what is more than its share.
    pub(super) async fn balance(&mut self, fleet: Fleet) -> Result<Fleet, StoreError> {
        let mut taken = Vec::new();
        let fleet = self.take_share(fleet, &mut taken).await;
        // All at once: those that act do not hold up those that are still to be claimed.
        self.adopt(taken).await;
        fleet
    }

    async fn take_share(
        &mut self,
        mut fleet: Fleet,
        taken: &mut Vec<StoredRelay>,
    ) -> Result<Fleet, StoreError> {
        loop {
            match self.balance.next(&fleet, self.epoch, Instant::now()) {
                BalanceStep::Nothing => return Ok(fleet),
                BalanceStep::Release(most) => {
                    self.release(most).await;
                    return Ok(fleet);
                }
                BalanceStep::Claim(most) => {
                    let before = taken.len();
                    taken.extend(self.shared.store.claim(self.epoch, most).await?);
                    let claimed = u64::try_from(taken.len() - before).unwrap_or(u64::MAX);
                    if claimed < balance::CLAIM {
                        return Ok(fleet);
                    }
                    // There may be more than are claimed at once.
                    fleet = self.shared.store.fleet().await?;
                }
            }
        }
    }

    async fn adopt(&self, relays: Vec<StoredRelay>) {
        if relays.is_empty() {
            return;
        }
        tracing::info!(relays = relays.len(), "claimed");
        metrics::RELAYS_CLAIMED.add(u64::try_from(relays.len()).unwrap_or(u64::MAX), []);
        if let Some(registry) = self.shared.registry() {
            let relays = relays.into_iter().map(Into::into).collect();
            // Answered when every one of them has its actor.
            let _ = registry.send(Adopt { relays }).await;
        }
    }

    async fn release(&mut self, most: u64) {
        while self.releases.try_join_next().is_some() {}
        let Some(registry) = self.shared.registry().filter(|_| self.releases.is_empty()) else {
            return;
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let gone = registry.send(HandOff(most)).await.unwrap_or_default();
        if gone.is_empty() {
            return;
        }
        let (store, epoch) = (self.shared.store.clone(), self.epoch);
        // Nobody waits for it: stops come in.
        self.releases.spawn(async move {
            join_all(gone.iter().map(|(_, calls)| calls.wind_up(POLL_HOME))).await;
            let relays: Vec<Uuid> = gone.into_iter().map(|(relay_id, _)| relay_id).collect();
            // Until it is answered: one that is executed late must not find its relay taken up again.
            until_done("release relays", || store.release(epoch, &relays)).await;
            tracing::info!(relays = relays.len(), "released to other nodes");
        });
    }

    /// A relay that bears this node's epoch and has no actor here is taken up: the answer to a claim or a release was lost. One
    /// that has an actor here and bears another's is let go of.
    pub(super) async fn reconcile(&mut self) -> Result<(), StoreError> {
        if self.reconciled_at.elapsed() < RECONCILE_EVERY || !self.releases.is_empty() {
            return Ok(());
        }
        self.reconciled_at = Instant::now();
        let Some(registry) = self.shared.registry() else {
            return Ok(());
        };
        let here = registry.send(ListRelays).await.unwrap_or_default();
        let here: HashSet<Uuid> = here.into_iter().collect();
        // Looked up after the call: what was here then is stored.
        let stored = self.shared.store.driven_by(self.epoch).await?;
        let stored: HashSet<Uuid> = stored.into_iter().collect();
        for relay_id in here.difference(&stored).copied() {
            let relay = self.shared.store.relay(relay_id).await?;
            // One that has ended goes by itself.
            let unfinished = |relay: &StoredRelay| relay.row.ended_at.is_none();
            if relay.is_none_or(|relay| unfinished(&relay) && relay.epoch != self.epoch) {
                tracing::warn!(%relay_id, "another node's; let go of");
                registry.do_send(Evict(relay_id));
            }
        }
        for relay_id in stored.difference(&here).copied() {
            // A start that is just being answered is not in the registry yet: then its actor is there before this one.
            let stored = self.shared.store.relay(relay_id).await?;
            let ours =
                |relay: &StoredRelay| relay.epoch == self.epoch && relay.row.ended_at.is_none();
            if let Some(stored) = stored.filter(ours) {
                tracing::debug!(%relay_id, "without an actor; taken up");
                let relays = vec![stored.into()];
                let _ = registry.send(Adopt { relays }).await;
            }
        }
        Ok(())
    }
}
