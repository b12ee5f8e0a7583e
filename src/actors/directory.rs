//! What everybody reads: one immutable snapshot per relay in work, published by its actor. No mailbox, no database.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use tokio::sync::watch;
use uuid::Uuid;

use super::clock::Clock;
use super::pace::PollerCounts;
use crate::relay::{Durable, Presence, Relay};

/// A relay in work, as its actor last knew it.
#[derive(Debug, Clone)]
pub struct RelaySnapshot {
    /// The clock of its own times.
    pub clock: Clock,
    /// What is known of it for good, and is stored.
    pub durable: Arc<Durable>,
    /// What is known of the seller.
    pub presence: Presence,
    /// Whether the recorder's page tells it, so that the channel's hosts need not be asked.
    pub page_is_fresh: bool,
    /// When its actor last heard something.
    pub last_event_at: DateTime<Utc>,
    /// When it wakes by itself.
    pub next_wake_at: Option<DateTime<Utc>>,
    /// The last failure of one of its calls, or what its actor died of.
    pub last_error: Option<String>,
    /// How often its actor was restarted.
    pub restarts: u32,
    /// Whether its egress is down for good, or was never started.
    pub egress_is_down: bool,
}

impl RelaySnapshot {
    /// A relay whose actor has heard nothing yet.
    pub(super) fn before_its_actor(relay: &Relay, now: DateTime<Utc>) -> Self {
        Self {
            clock: Clock::of(relay.durable()),
            durable: relay.durable().clone(),
            presence: relay.presence(now),
            page_is_fresh: relay.page_is_fresh(now),
            last_event_at: now,
            next_wake_at: relay.wake_at(now),
            last_error: None,
            restarts: 0,
            egress_is_down: relay.egress_is_down(),
        }
    }
}

/// The snapshots of all relays in work.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    inner: Arc<RwLock<Inner>>,
    poller_counts: Arc<PollerCounts>,
}

#[derive(Debug, Default)]
struct Inner {
    relays: HashMap<Uuid, watch::Sender<Arc<RelaySnapshot>>>,
    channels: HashMap<i64, Vec<Uuid>>,
}

impl Directory {
    /// The relay's snapshot, while it is in work.
    #[must_use]
    pub fn get(&self, relay_id: Uuid) -> Option<Arc<RelaySnapshot>> {
        self.inner
            .read()
            .relays
            .get(&relay_id)
            .map(|relay| relay.borrow().clone())
    }

    /// All snapshots, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RelaySnapshot>> {
        self.inner
            .read()
            .relays
            .values()
            .map(|relay| relay.borrow().clone())
            .collect()
    }

    /// How many relays are in work.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().relays.len()
    }

    /// Whether no relay is in work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The channel's relays in work, newest first: at most one of them holds the channel's slot.
    #[must_use]
    pub fn of_channel(&self, channel_id: i64) -> Vec<Arc<RelaySnapshot>> {
        let inner = self.inner.read();
        let ids = inner.channels.get(&channel_id).into_iter().flatten();
        let relays = ids.filter_map(|id| inner.relays.get(id));
        let mut relays: Vec<_> = relays.map(|relay| relay.borrow().clone()).collect();
        relays.sort_by_key(|relay| std::cmp::Reverse(relay.durable.spec.requested_at));
        relays
    }

    /// Follows a relay: every snapshot from now on, until it is no longer in work.
    #[must_use]
    pub fn follow(&self, relay_id: Uuid) -> Option<watch::Receiver<Arc<RelaySnapshot>>> {
        self.inner
            .read()
            .relays
            .get(&relay_id)
            .map(watch::Sender::subscribe)
    }

    /// Publishes a snapshot: who stored the relay or loaded it does, and from then on its actor.
    pub(super) fn publish(&self, snapshot: RelaySnapshot) {
        let snapshot = Arc::new(snapshot);
        let (id, channel_id) = (
            snapshot.durable.spec.relay_id,
            snapshot.durable.spec.channel_id,
        );
        {
            let inner = self.inner.read();
            if let Some(relay) = inner.relays.get(&id) {
                return self.replace(relay, snapshot);
            }
        }
        let mut inner = self.inner.write();
        if let Some(relay) = inner.relays.get(&id) {
            return self.replace(relay, snapshot);
        }
        self.poller_counts.changed(None, Some(&snapshot));
        inner.relays.insert(id, watch::Sender::new(snapshot));
        inner.channels.entry(channel_id).or_default().push(id);
    }

    fn replace(&self, relay: &watch::Sender<Arc<RelaySnapshot>>, snapshot: Arc<RelaySnapshot>) {
        let before = relay.send_replace(snapshot.clone());
        self.poller_counts.changed(Some(&before), Some(&snapshot));
    }

    /// How many relays look at what.
    pub(super) fn poller_counts(&self) -> &PollerCounts {
        &self.poller_counts
    }

    /// The relay is no longer in work.
    pub(super) fn remove(&self, relay_id: Uuid) {
        let mut inner = self.inner.write();
        let Some(relay) = inner.relays.remove(&relay_id) else {
            return;
        };
        let last = relay.borrow().clone();
        self.poller_counts.changed(Some(&last), None);
        let channel_id = last.durable.spec.channel_id;
        if let Some(ids) = inner.channels.get_mut(&channel_id) {
            ids.retain(|id| *id != relay_id);
            if ids.is_empty() {
                inner.channels.remove(&channel_id);
            }
        }
    }
}
