//! Limits the bytes of request bodies that are read at the same time, over all connections.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

/// Of unauthenticated callers.
const MAX_OF_UNKNOWN: usize = 2 * 1024 * 1024;
const MAX_OF_ADDRESS: usize = 256 * 1024;
const MAX_OF_KNOWN: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct BodyQuota(Mutex<BodyBytes>);

#[derive(Debug, Default)]
struct BodyBytes {
    of_known: usize,
    of_unknown: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl BodyQuota {
    pub(super) fn take_known(&self, bytes: usize) -> bool {
        let mut held = self.0.lock();
        held.of_known += bytes;
        held.of_known <= MAX_OF_KNOWN
    }

    pub(super) fn take_unknown(&self, caller: Option<IpAddr>, bytes: usize) -> bool {
        let mut held = self.0.lock();
        held.of_unknown += bytes;
        let is_within = held.of_unknown <= MAX_OF_UNKNOWN;
        let Some(caller) = caller else {
            return is_within;
        };
        let share = held.by_address.entry(caller).or_default();
        *share += bytes;
        is_within && *share <= MAX_OF_ADDRESS
    }

    /// Also for refused bytes: they were counted.
    pub(super) fn give_back(&self, caller: Option<IpAddr>, unknown: usize, known: usize) {
        if unknown + known == 0 {
            return;
        }
        let mut held = self.0.lock();
        held.of_known = held.of_known.saturating_sub(known);
        held.of_unknown = held.of_unknown.saturating_sub(unknown);
        if let Some(caller) = caller
            && let Some(share) = held.by_address.get_mut(&caller)
        {
            *share = share.saturating_sub(unknown);
            if *share == 0 {
                held.by_address.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_its_share_and_no_more() {
        let body_quota = BodyQuota::default();
        let caller = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        assert!(body_quota.take_unknown(caller(1), MAX_OF_ADDRESS));
        assert!(!body_quota.take_unknown(caller(1), 1));
        assert!(body_quota.take_unknown(caller(2), MAX_OF_ADDRESS));
        assert!(body_quota.take_unknown(None, MAX_OF_ADDRESS + 1));
        assert!(body_quota.take_known(MAX_OF_KNOWN) && !body_quota.take_known(1));
        body_quota.give_back(caller(1), MAX_OF_ADDRESS + 1, 0);
        assert!(body_quota.take_unknown(caller(1), MAX_OF_ADDRESS));
        assert!(!body_quota.take_unknown(None, MAX_OF_UNKNOWN));
    }
}
