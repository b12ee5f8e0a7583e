//! What everybody reads: one immutable snapshot per relay in work, published by its actor. No mailbox, no database.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::relay::{Durable, Presence};

/// A relay in work, as its actor last knew it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What is known of it for good, and is stored.
    pub durable: Durable,
    /// What is known of the seller.
    pub presence: Presence,
    /// When its actor last heard something.
    pub last_event_at: DateTime<Utc>,
    /// When it wakes by itself.
    pub next_wake_at: Option<DateTime<Utc>>,
    /// The last failure of one of its calls, or what its actor died of.
    pub last_error: Option<String>,
    /// How often its actor was restarted.
    pub restarts: u32,
}

/// The snapshots of all relays in work.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    relays: Arc<RwLock<HashMap<Uuid, Arc<Snapshot>>>>,
}

impl Directory {
    /// The relay's snapshot, while it is in work.
    #[must_use]
    pub fn get(&self, relay_id: Uuid) -> Option<Arc<Snapshot>> {
        self.relays
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&relay_id)
            .cloned()
    }

    /// All snapshots, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Snapshot>> {
        self.relays
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// How many relays are in work.
    #[must_use]
    pub fn len(&self) -> usize {
        self.relays
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no relay is in work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
