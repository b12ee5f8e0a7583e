use hashlink::LruCache;
use parking_lot::Mutex;

use crate::relay::{Notice, Subject};

const CAPACITY: usize = 100_000;

/// Each seller's last sequence number (`clientSeq`, `agora.md §6.7`).
#[derive(Debug)]
pub(super) struct SellerOrder(Mutex<LruCache<Subject, i64>>);

impl SellerOrder {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }

    /// Whether no later notice about its subject came before it.
    pub(super) fn is_news(&self, notice: &Notice) -> bool {
        let Some(sequence) = notice.sequence else {
            return true;
        };
        let mut last = self.0.lock();
        let known = last.get(&notice.subject).copied().unwrap_or(i64::MIN);
        last.insert(notice.subject.clone(), sequence.max(known));
        sequence > known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Hint;

    #[test]
    fn an_earlier_event_of_a_user_is_ignored_after_a_later_one() {
        let order = SellerOrder::new();
        let is_news = |channel: &str, uid, sequence| {
            let channel_name = channel.to_owned();
            let seller = Subject::Seller { channel_name, uid };
            order.is_news(&Notice {
                sequence,
                ..Notice::new(seller, Hint::SellerLeft)
            })
        };
        assert!(is_news("show", 7, Some(2)));
        assert!(!is_news("show", 7, Some(1)));
        assert!(!is_news("show", 7, Some(2)));
        assert!(is_news("show", 7, Some(3)));
        assert!(is_news("show", 7, None));
        assert!(is_news("show", 8, Some(1)) && is_news("other", 7, Some(1)));
    }
}
