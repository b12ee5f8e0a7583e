//! Future events, ordered by time.

use relaykeeper::relay::{Action, Answer, Class, Failure, Hint};

use super::vendors::Ms;

#[derive(Debug)]
pub enum Item {
    /// A request reaches its vendor.
    Arrives(u32, Action, Fate),
    /// Its result reaches the process.
    Result(u32, Action, Result<Answer, Failure>),
    Hint(Hint),
    Page {
        attempt: u32,
        seq: u64,
        present: bool,
    },
    PageBeat(usize, u64),
    Stop,
    PredecessorDown,
    Vendor,
    News(Hint),
    Restart,
    CleanupJobs,
    /// An operator deletes the ingest by hand.
    ManualDelete,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// Carried out, but the answer is lost.
    AnswerLost,
    /// Not carried out, and the caller cannot know.
    Lost,
    Refused(Class),
}

pub struct Queued {
    pub at: Ms,
    pub number: u64,
    pub item: Item,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Whether it waits while the process sleeps.
pub fn for_the_process(item: &Item) -> bool {
    matches!(
        item,
        Item::Result(..)
            | Item::Hint(_)
            | Item::Page { .. }
            | Item::Stop
            | Item::PredecessorDown
            | Item::CleanupJobs
    )
}
