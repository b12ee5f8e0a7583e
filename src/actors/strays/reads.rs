//! Limits reads of ingests named in notifications. Any ingest of the account causes them, whenever its encoder reconnects: they
//! must not use up the relays' budget.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The interval between two reads of one ingest.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The same if the ingest is not ours.
const NOT_OURS_FOR: Duration = Duration::from_secs(3600);
const MOST_REMEMBERED: usize = 10_000;
/// One in this many calls may read an unknown ingest.
const PART: u32 = 40;
const WINDOW: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct StrayReads(Mutex<ReadLimits>);

#[derive(Debug, Default)]
struct ReadLimits {
    not_before: HashMap<String, Instant>,
    /// When past reads of unknown ingests stop counting.
    used_up_at: Option<Instant>,
}

impl StrayReads {
    /// Whether the ingest may be read now. Counts the read.
    pub(super) fn begin(&self, ingest: &str, now: Instant) -> bool {
        let mut limits = self.0.lock();
        let known = limits.not_before.get(ingest);
        if known.is_some_and(|not_before| now < *not_before) {
            return false;
        }
        limits.put(ingest, now + AGAIN_AFTER, now);
        true
    }

    /// The same for an ingest that the database does not know. `quota`: calls per window.
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

    pub(super) fn not_ours(&self, ingest: &str, now: Instant) {
        let mut limits = self.0.lock();
        limits.put(ingest, now + NOT_OURS_FOR, now);
    }
}

impl ReadLimits {
    fn put(&mut self, ingest: &str, not_before: Instant, now: Instant) {
        if self.not_before.len() >= MOST_REMEMBERED {
            self.not_before.retain(|_, at| now < *at);
        }
        if self.not_before.len() >= MOST_REMEMBERED {
            // The limit on unknown ingests remains.
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
    fn a_limited_number_of_ingests_is_remembered() {
        let (reads, now) = (StrayReads::default(), Instant::now());
        for number in 0..=2 * MOST_REMEMBERED {
            reads.not_ours(&number.to_string(), now);
        }
        assert!(reads.0.lock().not_before.len() <= MOST_REMEMBERED);
    }
}
