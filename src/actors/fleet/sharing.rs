//! Claims and releases relays, and reconciles this node's actors with the database.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use super::balance::{self, BalanceStep};
use super::{NodeSession, POLLS_END_WITHIN};
use crate::actors::messages::{Adopt, Evict, HandOff, ListRelays};
use crate::store::{Fleet, StoreError, StoredRelay, until_done};
use crate::telemetry::metrics;

const RECONCILE_EVERY: Duration = Duration::from_secs(10);

impl NodeSession {
    pub(super) async fn balance(&mut self, fleet: Fleet) -> Result<Fleet, StoreError> {
        let mut taken = Vec::new();
        let fleet = self.take_share(fleet, &mut taken).await;
        // After the last claim: starting actors must not delay further claims.
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
                    taken.extend(self.context.store.claim(self.epoch, most).await?);
                    let claimed = u64::try_from(taken.len() - before).unwrap_or(u64::MAX);
                    if claimed < balance::MOST_CLAIMED {
                        return Ok(fleet);
                    }
                    fleet = self.context.store.fleet().await?;
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
        let relays = relays.into_iter().map(Into::into).collect();
        let _ = self.mailboxes.adopt.send(Adopt { relays }).await;
    }

    async fn release(&mut self, most: u64) {
        while self.releases.try_join_next().is_some() {}
        if !self.releases.is_empty() {
            return;
        }
        let hand_off = HandOff(usize::try_from(most).unwrap_or(usize::MAX));
        let handed_off = self.mailboxes.hand_off.send(hand_off).await;
        let handed_off = handed_off.unwrap_or_default();
        if handed_off.is_empty() {
            return;
        }
        let (store, epoch) = (self.context.store.clone(), self.epoch);
        // In the background: this node keeps handling stop requests.
        self.releases.spawn(async move {
            join_all(
                handed_off
                    .iter()
                    .map(|(_, calls)| calls.wind_up(POLLS_END_WITHIN)),
            )
            .await;
            let relays: Vec<Uuid> = handed_off
                .into_iter()
                .map(|(relay_id, _)| relay_id)
                .collect();
            // Retried until answered: a late release must not free a relay that was claimed again.
            until_done("release relays", || store.release(epoch, &relays)).await;
            tracing::info!(relays = relays.len(), "released to other nodes");
        });
    }

    /// Adopts relays with this node's epoch but no actor (a lost answer to a claim or release), and evicts other nodes' relays.
    pub(super) async fn reconcile(&mut self) -> Result<(), StoreError> {
        if self.reconciled_at.elapsed() < RECONCILE_EVERY || !self.releases.is_empty() {
            return Ok(());
        }
        self.reconciled_at = Instant::now();
        let here = self.mailboxes.list_relays.send(ListRelays).await;
        let here = here.unwrap_or_default();
        let here: HashSet<Uuid> = here.into_iter().collect();
        // Read after the listing: every listed relay is stored by now.
        let stored = self.context.store.driven_by(self.epoch).await?;
        let stored: HashSet<Uuid> = stored.into_iter().collect();
        for relay_id in here.difference(&stored).copied() {
            let relay = self.context.store.relay(relay_id).await?;
            // The actor of an ended relay stops by itself.
            let unfinished = |relay: &StoredRelay| relay.ended_at.is_none();
            if relay.is_none_or(|relay| unfinished(&relay) && relay.epoch != self.epoch) {
                tracing::warn!(%relay_id, "relay belongs to another node; evicted");
                self.mailboxes.evict.do_send(Evict(relay_id));
            }
        }
        for relay_id in stored.difference(&here).copied() {
            // A start in progress may not have reached the registry yet; its message arrives there before this one.
            let stored = self.context.store.relay(relay_id).await?;
            let ours = |relay: &StoredRelay| relay.epoch == self.epoch && relay.ended_at.is_none();
            if let Some(stored) = stored.filter(ours) {
                tracing::debug!(%relay_id, "relay had no actor; adopted");
                let relays = vec![stored.into()];
                let _ = self.mailboxes.adopt.send(Adopt { relays }).await;
            }
        }
        Ok(())
    }
}
