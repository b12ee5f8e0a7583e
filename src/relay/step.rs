//! What a relay does about an event.

use super::action::Action;
use super::cleanup_job::CleanupJob;
use super::fact::{Announcement, Fact};

/// What a relay does about an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// What to store before anything is done: none, and the durable state has not changed.
    pub facts: Vec<Fact>,
    /// What the marketplace is told, each with its sequence number.
    pub announcements: Vec<(u32, Announcement)>,
    /// What to do then.
    pub actions: Vec<Action>,
    /// Why the event meant nothing, when it did.
    pub ignored: Option<Ignored>,
}

impl Step {
    /// Whether there is something to store.
    #[must_use]
    pub fn must_be_stored(&self) -> bool {
        !self.facts.is_empty()
    }

    /// The cleanup jobs among the facts: rows to be written with them.
    pub fn cleanup_jobs(&self) -> impl Iterator<Item = &CleanupJob> {
        self.facts.iter().filter_map(|fact| {
            if let Fact::CleanupAdded { cleanup_job } = fact {
                Some(&**cleanup_job)
            } else {
                None
            }
        })
    }
}

/// Why an event meant nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Ignored {
    /// The result of a call nobody waits for any more.
    Stale,
    /// It says what is known.
    Duplicate,
    /// It has no meaning in this phase.
    Inapplicable,
}
