//! What was heard already: notices, for a day, and each seller's last comings and goings. Both are bounded.

use std::time::{Duration, Instant};

use hashlink::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// How long a notice is remembered.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The most that is remembered of either.
const MOST: usize = 100_000;

type Key = [u8; 32];

/// The notices that were carried out, each with the time at which it was.
pub(super) struct Notices(Mutex<LruCache<Key, Instant>>);

/// What names a notice: where it came in, and what it calls itself.
pub(super) fn key(endpoint: &str, id: &[u8]) -> Key {
    let mut hash = Sha256::new();
    hash.update(endpoint);
    hash.update([0]);
    hash.update(id);
    hash.finalize().into()
}

impl Notices {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    pub(super) fn knows(&self, key: &Key) -> bool {
        self.0.lock().contains_key(key)
    }

    /// Remembers a notice once it was carried out: one that was not must work when it is repeated.
    pub(super) fn remember(&self, key: Key, now: Instant) {
        let mut known = self.0.lock();
        let is_old = |at: &Instant| now.duration_since(*at) >= DAY;
        while known.iter().next().is_some_and(|(_, at)| is_old(at)) {
            known.remove_lru();
        }
        if !known.contains_key(&key) {
            known.insert(key, now);
        }
    }
}

/// The order in which users came and went, by their own count (`clientSeq`, `agora.md §6.7`).
pub(super) struct Order(Mutex<LruCache<(String, u32), i64>>);

impl Order {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    /// Whether this is news of the user, and not overtaken by what was heard before.
    pub(super) fn is_news(&self, channel: &str, uid: u32, sequence: i64) -> bool {
        let mut last = self.0.lock();
        let user = (channel.to_owned(), uid);
        let known = last.get(&user).copied().unwrap_or(i64::MIN);
        last.insert(user, sequence.max(known));
        sequence > known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_remembered_for_a_day() {
        let notices = Notices::new();
        let start = Instant::now();
        let (one, other) = (key("a", b"1"), key("a", b"2"));
        assert!(!notices.knows(&one));
        notices.remember(one, start);
        assert!(notices.knows(&one) && !notices.knows(&key("b", b"1")));
        notices.remember(other, start + DAY - Duration::from_secs(1));
        assert!(notices.knows(&one));
        notices.remember(other, start + DAY);
        assert!(!notices.knows(&one) && notices.knows(&other));
    }

    #[test]
    fn notices_without_end_do_not_fill_the_memory() {
        let notices = Notices::new();
        let start = Instant::now();
        for number in 0..=MOST {
            notices.remember(key("a", &number.to_le_bytes()), start);
        }
        assert!(!notices.knows(&key("a", &0_usize.to_le_bytes())));
        assert!(notices.knows(&key("a", &MOST.to_le_bytes())));
        assert_eq!(notices.0.lock().len(), MOST);
    }

    #[test]
    fn what_a_user_did_before_is_no_news_after_what_they_did_later() {
        let order = Order::new();
        assert!(order.is_news("show", 7, 2));
        assert!(!order.is_news("show", 7, 1));
        assert!(!order.is_news("show", 7, 2));
        assert!(order.is_news("show", 7, 3));
        assert!(order.is_news("show", 8, 1) && order.is_news("other", 7, 1));
    }
}
