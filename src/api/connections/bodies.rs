//! Bytes of request bodies that are being read, over all connections.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

/// The most bytes that are held for callers without a valid token: vendors' notifications are short, and come at once.
const MOST_OF_UNKNOWN: usize = 2 * 1024 * 1024;
/// The part of them that one address may take.
const MOST_OF_ADDRESS: usize = 256 * 1024;
/// The most that are held for callers with a valid token.
const MOST_OF_KNOWN: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Bodies(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    of_known: usize,
    of_unknown: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Bodies {
    /// Counts bytes of a request with a valid token. False when they are too many.
    pub(super) fn take_known(&self, bytes: usize) -> bool {
        let mut held = self.0.lock();
        held.of_known += bytes;
        held.of_known <= MOST_OF_KNOWN
    }

    /// Counts bytes of a request without a valid token. False when they are too many, or too many of this address.
    pub(super) fn take_unknown(&self, caller: Option<IpAddr>, bytes: usize) -> bool {
        let mut held = self.0.lock();
        held.of_unknown += bytes;
        let is_within = held.of_unknown <= MOST_OF_UNKNOWN;
        let Some(caller) = caller else {
            return is_within;
        };
        let share = held.by_address.entry(caller).or_default();
        *share += bytes;
        is_within && *share <= MOST_OF_ADDRESS
    }

    /// Counts no longer what was counted, refused or not.
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
        let bodies = Bodies::default();
        let caller = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        assert!(bodies.take_unknown(caller(1), MOST_OF_ADDRESS));
        assert!(!bodies.take_unknown(caller(1), 1));
        assert!(bodies.take_unknown(caller(2), MOST_OF_ADDRESS));
        assert!(bodies.take_unknown(None, MOST_OF_ADDRESS + 1));
        assert!(bodies.take_known(MOST_OF_KNOWN) && !bodies.take_known(1));
        bodies.give_back(caller(1), MOST_OF_ADDRESS + 1, 0);
        assert!(bodies.take_unknown(caller(1), MOST_OF_ADDRESS));
        assert!(!bodies.take_unknown(None, MOST_OF_UNKNOWN));
    }
}
