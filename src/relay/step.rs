use super::action::Action;
use super::announcement::Announcement;
use super::cleanup_job::CleanupJob;
use super::fact::Fact;

/// The result of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Step {
    /// To be stored first. Empty: the durable state is unchanged.
    pub facts: Vec<Fact>,
    /// Messages to the marketplace, numbered.
    pub announcements: Vec<(u32, Announcement)>,
    /// To be carried out then.
    pub actions: Vec<Action>,
    pub ignored: Option<Ignored>,
}

impl Step {
    /// Whether there are facts.
    #[must_use]
    pub fn must_be_stored(&self) -> bool {
        !self.facts.is_empty()
    }

    /// The cleanup jobs, to be stored with the facts.
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

/// Why an event had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Ignored {
    /// The call is no longer in flight.
    Stale,
    /// It repeats what is known.
    Duplicate,
    /// Wrong phase.
    Inapplicable,
}
