//! One immutable snapshot per active relay, published by its actor and read from any thread.

mod poller_counts;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use tokio::sync::watch;
use uuid::Uuid;

pub(super) use self::poller_counts::{CountsByTarget, Pollers};

use self::poller_counts::PollerCounts;
use super::clock::Clock;
use crate::relay::{Durable, Presence, Relay, Spec, Subject};

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
    channels: BTreeSet<(i64, Uuid)>,
    /// By their hashes, to save memory.
    subjects: BTreeSet<(u64, Uuid)>,
}

impl Indexes {
    /// Replaces a snapshot by one with the same subjects, and returns it.
    fn replace(&self, snapshot: &Arc<RelaySnapshot>) -> Option<Arc<RelaySnapshot>> {
        let relay = self.relays.get(&snapshot.durable.spec.relay_id)?;
        let mut before = None;
        relay.send_if_modified(|current| {
            let is_same = Subject::are_same(&current.durable, &snapshot.durable);
            if is_same {
                before = Some(std::mem::replace(current, snapshot.clone()));
            }
            is_same
        });
        before
    }

    /// Returns the snapshot before.
    fn put(&mut self, snapshot: &Arc<RelaySnapshot>) -> Option<Arc<RelaySnapshot>> {
        let spec = &snapshot.durable.spec;
        let before = match self.relays.get(&spec.relay_id) {
            Some(relay) => Some(relay.send_replace(snapshot.clone())),
            None => {
                let relay = watch::Sender::new(snapshot.clone());
                self.relays.insert(spec.relay_id, relay);
                self.channels.insert((spec.channel_id, spec.relay_id));
                None
            }
        };
        if let Some(before) = &before {
            self.drop_subjects(before);
        }
        for subject in Subject::all_of(&snapshot.durable) {
            self.subjects.insert((hash(&subject), spec.relay_id));
        }
        before
    }

    fn remove(&mut self, relay_id: Uuid) -> Option<Arc<RelaySnapshot>> {
        let last = self.relays.remove(&relay_id)?.borrow().clone();
        self.channels
            .remove(&(last.durable.spec.channel_id, relay_id));
        self.drop_subjects(&last);
        Some(last)
    }

    fn drop_subjects(&mut self, snapshot: &RelaySnapshot) {
        for subject in Subject::all_of(&snapshot.durable) {
            let relay_id = snapshot.durable.spec.relay_id;
            self.subjects.remove(&(hash(&subject), relay_id));
        }
    }

    fn get(&self, relay_id: Uuid) -> Option<Arc<RelaySnapshot>> {
        let relay = self.relays.get(&relay_id)?;
        Some(relay.borrow().clone())
    }
}

fn hash(subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}

fn of_key<K: Copy + Ord>(index: &BTreeSet<(K, Uuid)>, key: K) -> impl Iterator<Item = Uuid> {
    let all = (key, Uuid::nil())..=(key, Uuid::max());
    index.range(all).map(|(_, relay_id)| *relay_id)
}

impl Directory {
    /// A relay's snapshot, while it is active here.
    #[must_use]
    pub fn get(&self, relay_id: Uuid) -> Option<Arc<RelaySnapshot>> {
        self.indexes.read().get(relay_id)
    }

    /// The active relays that a notification is about.
    pub(super) fn about(&self, subject: &Subject) -> Vec<Arc<RelaySnapshot>> {
        let indexes = self.indexes.read();
        if let Subject::Tag(tag) = subject {
            let ours = |relay: &Arc<RelaySnapshot>| relay.durable.spec.namespace == tag.namespace;
            return indexes.get(tag.relay).filter(ours).into_iter().collect();
        }
        let relays = of_key(&indexes.subjects, hash(subject)).filter_map(|id| indexes.get(id));
        relays
            .filter(|relay| Subject::all_of(&relay.durable).contains(subject))
            .collect()
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
        let ids = of_key(&indexes.channels, channel_id);
        let mut relays: Vec<_> = ids.filter_map(|id| indexes.get(id)).collect();
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
        {
            let indexes = self.indexes.read();
            if let Some(before) = indexes.replace(&snapshot) {
                return self.poller_counts.changed(Some(&before), Some(&snapshot));
            }
        }
        let mut indexes = self.indexes.write();
        let before = indexes.put(&snapshot);
        self.poller_counts
            .changed(before.as_deref(), Some(&snapshot));
    }

    /// Of the feeds of this platform, and of the egresses of this backend.
    pub(super) fn poller_counts(&self, spec: &Spec) -> CountsByTarget {
        self.poller_counts
            .get(&spec.platform, &spec.egress.backend.name)
    }

    pub(super) fn remove(&self, relay_id: Uuid) {
        let mut indexes = self.indexes.write();
        let last = indexes.remove(relay_id);
        self.poller_counts.changed(last.as_deref(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::view::fixture;
    use crate::relay::{EgressHandle, Phase};

    fn seller() -> Subject {
        Subject::Seller {
            channel_name: "show68".into(),
            uid: 12345,
        }
    }

    fn publish(directory: &Directory, durable: &Durable) {
        let snapshot = fixture::snapshot(durable.clone());
        directory.publish((*snapshot).clone());
    }

    #[test]
    fn a_relay_is_found_by_what_it_has_now_and_not_by_what_it_had() {
        let directory = Directory::default();
        let is_found = |subject: &Subject| !directory.about(subject).is_empty();
        let mut relay = fixture::live_by_media_push();
        let converter = Subject::Egress("abcdef".into());
        let on = |platform| Subject::ingest(platform, fixture::INGEST);
        let ingest = on(relay.spec.platform.as_str());
        relay.ingest.id = None;
        let tag = Subject::Tag(relay.spec.tag(7));
        publish(&directory, &relay);
        assert!(is_found(&tag) && is_found(&converter) && is_found(&seller()));
        assert!(!is_found(&ingest));
        relay.ingest.id = Some(fixture::INGEST.into());
        publish(&directory, &relay);
        assert!(is_found(&ingest) && !is_found(&on("another")));
        let another = EgressHandle::of_id("converter_id", "ANOTHER");
        relay.egress.as_mut().unwrap().handle = Some(another);
        relay.phase = Phase::Stopping;
        publish(&directory, &relay);
        assert!(!is_found(&converter) && !is_found(&seller()));
        assert!(is_found(&Subject::Egress("another".into())) && is_found(&ingest));
        directory.remove(relay.spec.relay_id);
        assert!(!is_found(&ingest) && !is_found(&tag));
        let indexes = directory.indexes.read();
        assert!(indexes.channels.is_empty() && indexes.subjects.is_empty());
    }

    #[test]
    fn a_tag_of_another_deployment_names_no_relay() {
        let directory = Directory::default();
        let relay = fixture::live();
        publish(&directory, &relay);
        let mut tag = relay.spec.tag(1);
        tag.namespace.deployment = "another".into();
        assert!(directory.about(&Subject::Tag(tag)).is_empty());
    }

    #[test]
    fn two_relays_with_one_seller_are_both_found() {
        let directory = Directory::default();
        let mut relay = fixture::live();
        publish(&directory, &relay);
        relay.spec.relay_id = Uuid::from_u128(2);
        relay.spec.channel_id = 43;
        publish(&directory, &relay);
        assert_eq!(directory.about(&seller()).len(), 2);
        directory.remove(relay.spec.relay_id);
        assert_eq!(directory.about(&seller()).len(), 1);
    }
}
