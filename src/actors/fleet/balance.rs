//! Who takes how many relays: pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::Fleet;

/// The most relays claimed in one round.
pub(super) const CLAIM: u64 = 1000;
/// The most relays released in one round: each is loaded and looked after anew, so they go a few at a time.
const RELEASE: u64 = 50;
/// A node gives relays up when it has so many more than its share, in hundredths of the share …
const TOO_MANY_PERCENT: u64 = 20;
/// … and so many besides; then until it has its share.
const TOO_MANY: u64 = 5;

/// What has been free for so long is left for nobody: whoever should have taken it is cut off, and nobody knows it yet.
const LEFT: Duration = Duration::from_secs(3);

/// What a node does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BalanceStep {
    /// It has what it should.
    Nothing,
    /// It claims at most so many of the free.
    Claim(u64),
    /// It gives at most so many up.
    Release(u64),
}

/// What a node remembers between two rounds.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Since when there have been free relays at every poll.
    free_since: Option<Instant>,
    /// Whether it is giving up what it has too many of.
    giving: bool,
}

impl Balance {
    /// What this node does, now that the fleet is so.
    pub(super) fn next(&mut self, fleet: &Fleet, epoch: i64, now: Instant) -> BalanceStep {
        let staying = fleet.nodes.iter().filter(|node| !node.leaving);
        let count = u64::try_from(staying.clone().count()).unwrap_or(u64::MAX);
        let Some(own) = staying.clone().find(|node| node.epoch == epoch) else {
            return BalanceStep::Nothing;
        };
        let driven: u64 = fleet.nodes.iter().map(|node| node.relays).sum();
        let total = driven.saturating_add(fleet.free);
        let share = total.div_ceil(count.max(1));
        if fleet.free > 0 {
            self.giving = false;
            let since = *self.free_since.get_or_insert(now);
            let most = match share.saturating_sub(own.relays) {
                0 if now.duration_since(since) >= LEFT => fleet.free,
                room => room.min(fleet.free),
            };
            return match most.min(CLAIM) {
                0 => BalanceStep::Nothing,
                most => BalanceStep::Claim(most),
            };
        }
        self.free_since = None;
        let too_many = share + share * TOO_MANY_PERCENT / 100 + TOO_MANY;
        self.giving = own.relays > share && (self.giving || own.relays > too_many);
        if self.giving {
            BalanceStep::Release((own.relays - share).min(RELEASE))
        } else {
            BalanceStep::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::Node;

    fn fleet(relays: &[u64], free: u64) -> Fleet {
        let nodes = (1..).zip(relays).map(|(epoch, relays)| Node {
            epoch,
            name: format!("node/{epoch}"),
            joined_at: DateTime::UNIX_EPOCH,
            leaving: false,
            relays: *relays,
        });
        Fleet {
            nodes: nodes.collect(),
            free,
            leader: 1,
        }
    }

    #[test]
    fn a_dead_nodes_relays_are_spread_evenly_over_the_others() {
        let fleet = fleet(&[100, 100], 100);
        for epoch in [1, 2] {
            let mut balance = Balance::default();
            assert_eq!(
                balance.next(&fleet, epoch, Instant::now()),
                BalanceStep::Claim(50)
            );
        }
    }

    #[test]
    fn what_stays_free_for_long_is_taken_by_whoever_sees_it() {
        let mut balance = Balance::default();
        // The other one should take them, and does not.
        let fleet = fleet(&[60, 10], 40);
        let now = Instant::now();
        assert_eq!(balance.next(&fleet, 1, now), BalanceStep::Nothing);
        let a_moment_later = now + Duration::from_millis(100);
        assert_eq!(
            balance.next(&fleet, 1, a_moment_later),
            BalanceStep::Nothing
        );
        assert_eq!(balance.next(&fleet, 1, now + LEFT), BalanceStep::Claim(40));
    }

    #[test]
    fn a_node_that_joins_is_given_its_share_a_few_at_a_time_until_all_have_theirs() {
        let mut relays = [300u64, 0];
        let mut giving = Balance::default();
        let mut taking = Balance::default();
        let now = Instant::now();
        for _ in 0..20 {
            if let BalanceStep::Release(most) = giving.next(&fleet(&relays, 0), 1, now) {
                assert!(most <= RELEASE);
                relays[0] -= most;
                assert_eq!(
                    taking.next(&fleet(&relays, most), 2, now),
                    BalanceStep::Claim(most)
                );
                assert_eq!(
                    giving.next(&fleet(&relays, most), 1, now),
                    BalanceStep::Nothing
                );
                relays[1] += most;
            }
        }
        assert_eq!(relays, [150, 150]);
    }

    #[test]
    fn a_little_unevenness_moves_nothing() {
        for relays in [[3, 0], [110, 90], [8, 1]] {
            for epoch in [1, 2] {
                assert_eq!(
                    Balance::default().next(&fleet(&relays, 0), epoch, Instant::now()),
                    BalanceStep::Nothing
                );
            }
        }
    }

    #[test]
    fn a_node_that_leaves_takes_nothing_and_counts_for_nothing() {
        let mut leaving = fleet(&[10, 10, 10], 6);
        leaving.nodes[2].leaving = true;
        let next = |epoch| Balance::default().next(&leaving, epoch, Instant::now());
        assert_eq!(next(3), BalanceStep::Nothing);
        assert_eq!(next(1), BalanceStep::Claim(6));
    }
}
