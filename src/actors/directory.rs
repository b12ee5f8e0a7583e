//! One immutable snapshot per active relay, published by its actor and read from any thread.

mod poller_counts;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use tokio::sync::watch;
use uuid::Uuid;

pub(super) use self::poller_counts::{CountsByTarget, Pollers};

use self::poller_counts::PollerCounts;
use super::clock::Clock;
use crate::relay::{Durable, Presence, Relay};

/// An active relay, as its actor last published it.
#[derive(Debug, Clone)]
pub struct RelaySnapshot {
    /// The relay's own clock.
    pub clock: Clock,
    /// The stored state.
    pub durable: Arc<Durable>,
    /// The seller's presence.
    pub presence: Presence,
    /// Whether the recorder page reports presence, so that no poll is needed.
    pub page_is_fresh: bool,
    /// When the actor last got an event.
    pub last_event_at: DateTime<Utc>,
    /// When the actor's timer fires next.
    pub next_wake_at: Option<DateTime<Utc>>,
    /// The last failed call, or why the previous actor died.
    pub last_error: Option<String>,
    /// The number of restarts of the actor.
    pub restarts: u32,
    /// Whether the egress ended for good or never started.
    pub egress_is_down: bool,
}

impl RelaySnapshot {
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

/// The snapshots of all active relays.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    indexes: Arc<RwLock<Indexes>>,
    poller_counts: Arc<PollerCounts>,
}

#[derive(Debug, Default)]
struct Indexes {
    relays: HashMap<Uuid, watch::Sender<Arc<RelaySnapshot>>>,
    channels: HashMap<i64, Vec<Uuid>>,
}

impl Directory {
    /// A relay's snapshot, while it is active here.
    #[must_use]
    pub fn get(&self, relay_id: Uuid) -> Option<Arc<RelaySnapshot>> {
        self.indexes
            .read()
            .relays
            .get(&relay_id)
            .map(|relay| relay.borrow().clone())
    }

    /// All snapshots, unordered.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RelaySnapshot>> {
        self.indexes
            .read()
            .relays
            .values()
            .map(|relay| relay.borrow().clone())
            .collect()
    }

    /// The number of active relays.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indexes.read().relays.len()
    }

    /// Whether no relay is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The channel's active relays, newest first. At most one holds the slot.
    #[must_use]
    pub fn of_channel(&self, channel_id: i64) -> Vec<Arc<RelaySnapshot>> {
        let indexes = self.indexes.read();
        let ids = indexes.channels.get(&channel_id).into_iter().flatten();
        let relays = ids.filter_map(|id| indexes.relays.get(id));
        let mut relays: Vec<_> = relays.map(|relay| relay.borrow().clone()).collect();
        relays.sort_by_key(|relay| std::cmp::Reverse(relay.durable.spec.requested_at));
        relays
    }

    /// Watches a relay's snapshots until the relay is removed.
    #[must_use]
    pub fn follow(&self, relay_id: Uuid) -> Option<watch::Receiver<Arc<RelaySnapshot>>> {
        self.indexes
            .read()
            .relays
            .get(&relay_id)
            .map(watch::Sender::subscribe)
    }

    pub(super) fn publish(&self, snapshot: RelaySnapshot) {
        let snapshot = Arc::new(snapshot);
        let (id, channel_id) = (
            snapshot.durable.spec.relay_id,
            snapshot.durable.spec.channel_id,
        );
        {
            let indexes = self.indexes.read();
            if let Some(relay) = indexes.relays.get(&id) {
                return self.replace(relay, snapshot);
            }
        }
        let mut indexes = self.indexes.write();
        if let Some(relay) = indexes.relays.get(&id) {
            return self.replace(relay, snapshot);
        }
        self.poller_counts.changed(None, Some(&snapshot));
        indexes.relays.insert(id, watch::Sender::new(snapshot));
        indexes.channels.entry(channel_id).or_default().push(id);
    }

    fn replace(&self, relay: &watch::Sender<Arc<RelaySnapshot>>, snapshot: Arc<RelaySnapshot>) {
        let before = relay.send_replace(snapshot.clone());
        self.poller_counts.changed(Some(&before), Some(&snapshot));
    }

    pub(super) fn poller_counts(&self) -> CountsByTarget {
        self.poller_counts.get()
    }

    pub(super) fn remove(&self, relay_id: Uuid) {
        let mut indexes = self.indexes.write();
        let Some(relay) = indexes.relays.remove(&relay_id) else {
            return;
        };
        let last = relay.borrow().clone();
        self.poller_counts.changed(Some(&last), None);
        let channel_id = last.durable.spec.channel_id;
        if let Some(ids) = indexes.channels.get_mut(&channel_id) {
            ids.retain(|id| *id != relay_id);
            if ids.is_empty() {
                indexes.channels.remove(&channel_id);
            }
        }
    }
}
