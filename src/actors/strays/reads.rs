//! Which ingests that a notification names are read, and how often. Anyone with an ingest in the account causes such
//! notifications, as fast as an encoder reconnects: without a limit they would spend the budget of our own calls.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After a read, the same ingest is not read for this long.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// An ingest that is not ours stays so.
const NOT_OURS_FOR: Duration = Duration::from_secs(3600);
/// The most ingests that are remembered.
const MOST: usize = 10_000;
/// Reads of ingests that the database does not know take at most one in this many of the budget's calls.
const PART: u32 = 40;
/// The budget's window.
const WINDOW: Duration = Duration::from_secs(300);

/// What was read of late.
#[derive(Debug, Default)]
pub(in crate::actors) struct StrayReads(Mutex<ReadLimits>);

#[derive(Debug, Default)]
struct ReadLimits {
    /// When each ingest may be read again.
    not_before: HashMap<String, Instant>,
    /// When the reads of unknown ingests so far are used up, at the rate allowed.
    used_up_at: Option<Instant>,
}

impl StrayReads {
    /// Whether this ingest may be read now; if so, it counts as read.
    pub(super) fn begin(&self, ingest: &str, now: Instant) -> bool {
        let mut limits = self.0.lock();
        let known = limits.not_before.get(ingest);
        if known.is_some_and(|not_before| now < *not_before) {
            return false;
        }
        limits.put(ingest, now + AGAIN_AFTER, now);
        true
    }

    /// Takes a call for an ingest that the database does not know, of a budget of `quota` calls in each window.
    pub(super) fn take_unknown(&self, quota: u32, now: Instant) -> bool {
        let most = (quota / PART).max(1);
        let each = WINDOW / most;
        let mut limits = self.0.lock();
        let from = limits.used_up_at.map_or(now, |at| at.max(now));
        if from > now + each * (most - 1) {
            return false;
        }
        limits.used_up_at = Some(from + each);
        true
    }

    /// This ingest is not ours.
    pub(super) fn not_ours(&self, ingest: &str, now: Instant) {
        let mut limits = self.0.lock();
        limits.put(ingest, now + NOT_OURS_FOR, now);
    }
}

impl ReadLimits {
    fn put(&mut self, ingest: &str, not_before: Instant, now: Instant) {
        if self.not_before.len() >= MOST {
            self.not_before.retain(|_, at| now < *at);
        }
        if self.not_before.len() >= MOST {
            // The limit on unknown ones holds all the same.
            self.not_before.clear();
        }
        self.not_before.insert(ingest.to_owned(), not_before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingest_is_read_once_in_half_a_minute_and_one_that_is_not_ours_once_an_hour() {
        let (reads, now) = (StrayReads::default(), Instant::now());
        assert!(reads.begin("a", now));
        assert!(!reads.begin("a", now) && reads.begin("b", now));
        assert!(reads.begin("a", now + AGAIN_AFTER));
        reads.not_ours("a", now);
        assert!(!reads.begin("a", now + NOT_OURS_FOR - AGAIN_AFTER));
        assert!(reads.begin("a", now + NOT_OURS_FOR));
    }

    #[test]
    fn unknown_ingests_take_one_in_twenty_of_the_calls_of_any_window_at_most() {
        for (quota, most) in [(960, 48), (32, 2), (1, 2)] {
            let (reads, start) = (StrayReads::default(), Instant::now());
            let taken = (0..3000)
                .filter(|tenth| reads.take_unknown(quota, start + WINDOW * *tenth / 3000))
                .count();
            assert!((1..=most).contains(&taken), "{taken} of {quota}");
        }
    }

    #[test]
    fn ingests_without_end_do_not_fill_the_memory() {
        let (reads, now) = (StrayReads::default(), Instant::now());
        for number in 0..=2 * MOST {
            reads.not_ours(&number.to_string(), now);
        }
        assert!(reads.0.lock().not_before.len() <= MOST);
    }
}
