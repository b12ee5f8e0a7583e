//! Token buckets, stored as the time at which each is full (GCRA): a full bucket need not be stored.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// With more callers than this, full buckets are removed.
const REMOVE_FULL_ABOVE: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// `token` or `address`.
    pub(super) whose: &'static str,
    pub(super) quota: u32,
    /// The time to fill an empty bucket.
    pub(super) window: Duration,
    pub(super) left: u32,
    pub(super) full_in: Duration,
    /// `None` if this request is allowed.
    pub(super) wait: Option<Duration>,
}

pub(super) struct Buckets<K> {
    whose: &'static str,
    quota: u32,
    /// The time to refill one request.
    each: Duration,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Both must be above 0.
    pub(super) fn new(whose: &'static str, per_second: u32, quota: u32) -> Self {
        Self {
            whose,
            quota: quota.max(1),
            each: Duration::from_secs(1) / per_second.max(1),
            full_at: Mutex::default(),
        }
    }

    pub(super) fn take(&self, caller: K, now: Instant) -> Level {
        let window = self.each * self.quota;
        let mut callers = self.full_at.lock();
        if callers.len() >= REMOVE_FULL_ABOVE {
            callers.retain(|_, full_at| *full_at > now);
        }
        let full_at = callers.entry(caller).or_insert(now);
        let before = full_at.saturating_duration_since(now);
        let after = before + self.each;
        let level = Level {
            whose: self.whose,
            quota: self.quota,
            window,
            left: 0,
            full_in: before,
            wait: None,
        };
        if after > window {
            return Level {
                wait: Some(after - window),
                ..level
            };
        }
        *full_at = now + after;
        let room = (window - after).as_nanos() / self.each.as_nanos().max(1);
        Level {
            left: u32::try_from(room).unwrap_or(u32::MAX),
            full_in: after,
            ..level
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_its_quota_and_then_its_rate() {
        let buckets = Buckets::new("token", 10, 3);
        let now = Instant::now();
        let left: Vec<_> = (0..3)
            .map(|_| buckets.take("a", now))
            .map(|level| (level.wait, level.left))
            .collect();
        assert_eq!(left, [(None, 2), (None, 1), (None, 0)]);
        let refused = buckets.take("a", now);
        assert_eq!(refused.wait, Some(Duration::from_millis(100)));
        assert_eq!(refused.full_in, Duration::from_millis(300));
        let later = now + Duration::from_millis(100);
        assert_eq!(buckets.take("a", later).wait, None);
        assert!(
            buckets.take("a", later).wait.is_some(),
            "refusals cost nothing, but give nothing"
        );
    }

    #[test]
    fn callers_do_not_share_a_bucket_and_a_full_one_holds_no_more_than_its_quota() {
        let buckets = Buckets::new("token", 10, 1);
        let now = Instant::now();
        assert_eq!(buckets.take("a", now).wait, None);
        assert!(buckets.take("a", now).wait.is_some());
        assert_eq!(buckets.take("b", now).wait, None);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(buckets.take("a", much_later).wait, None);
        assert!(buckets.take("a", much_later).wait.is_some());
    }

    #[test]
    fn full_buckets_are_removed() {
        let buckets = Buckets::new("address", 10, 1);
        let now = Instant::now();
        for caller in 0..REMOVE_FULL_ABOVE {
            buckets.take(caller, now);
        }
        buckets.take(REMOVE_FULL_ABOVE, now + Duration::from_secs(1));
        assert_eq!(buckets.full_at.lock().len(), 1);
    }
}
