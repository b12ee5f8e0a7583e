use std::time::{Duration, Instant};

use hashlink::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Of each cache.
const CAPACITY: usize = 100_000;

type NoticeKey = [u8; 32];

pub(super) struct SeenNotices(Mutex<LruCache<NoticeKey, Instant>>);

pub(super) fn key(endpoint: &str, id: &[u8]) -> NoticeKey {
    let mut hash = Sha256::new();
    hash.update(endpoint);
    hash.update([0]);
    hash.update(id);
    hash.finalize().into()
}

impl SeenNotices {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }

    pub(super) fn knows(&self, key: &NoticeKey) -> bool {
        self.0.lock().contains_key(key)
    }

    /// For handled notices only: an unhandled one must work when it is repeated.
    pub(super) fn remember(&self, key: NoticeKey, now: Instant) {
        let mut known = self.0.lock();
        let is_old = |at: &Instant| now.duration_since(*at) >= RETENTION;
        while known.iter().next().is_some_and(|(_, at)| is_old(at)) {
            known.remove_lru();
        }
        if !known.contains_key(&key) {
            known.insert(key, now);
        }
    }
}

/// Each user's last sequence number (`clientSeq`, `agora.md §6.7`).
pub(super) struct SequenceOrder(Mutex<LruCache<(String, u32), i64>>);

impl SequenceOrder {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }

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
        let notices = SeenNotices::new();
        let start = Instant::now();
        let (one, other) = (key("a", b"1"), key("a", b"2"));
        assert!(!notices.knows(&one));
        notices.remember(one, start);
        assert!(notices.knows(&one) && !notices.knows(&key("b", b"1")));
        notices.remember(other, start + RETENTION - Duration::from_secs(1));
        assert!(notices.knows(&one));
        notices.remember(other, start + RETENTION);
        assert!(!notices.knows(&one) && notices.knows(&other));
    }

    #[test]
    fn notices_without_end_do_not_fill_the_memory() {
        let notices = SeenNotices::new();
        let start = Instant::now();
        for number in 0..=CAPACITY {
            notices.remember(key("a", &number.to_le_bytes()), start);
        }
        assert!(!notices.knows(&key("a", &0_usize.to_le_bytes())));
        assert!(notices.knows(&key("a", &CAPACITY.to_le_bytes())));
        assert_eq!(notices.0.lock().len(), CAPACITY);
    }

    #[test]
    fn an_earlier_event_of_a_user_is_ignored_after_a_later_one() {
        let order = SequenceOrder::new();
        assert!(order.is_news("show", 7, 2));
        assert!(!order.is_news("show", 7, 1));
        assert!(!order.is_news("show", 7, 2));
        assert!(order.is_news("show", 7, 3));
        assert!(order.is_news("show", 8, 1) && order.is_news("other", 7, 1));
    }
}
