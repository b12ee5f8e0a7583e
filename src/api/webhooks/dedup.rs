use std::time::{Duration, Instant};

use hashlink::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
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
}
