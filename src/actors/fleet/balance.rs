//! Decides how many relays a node claims or releases. No I/O.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::Fleet;

pub(super) const MOST_CLAIMED: u64 = 1000;
/// In one round: the new owner must load and poll each relay.
const MOST_RELEASED: u64 = 50;
/// A node releases its excess once that is above this percentage of its share plus [`SLACK`].
const SLACK_PERCENT: u64 = 20;
const SLACK: u64 = 5;

/// The node that should claim unowned relays is probably partitioned by then.
const ANY_NODE_CLAIMS_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BalanceStep {
    Nothing,
    Claim(u64),
    Release(u64),
}

#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Since when every round has seen unowned relays.
    free_since: Option<Instant>,
    releasing: bool,
}

impl Balance {
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
            self.releasing = false;
            let since = *self.free_since.get_or_insert(now);
            let most = match share.saturating_sub(own.relays) {
                0 if now.duration_since(since) >= ANY_NODE_CLAIMS_AFTER => fleet.free,
                room => room.min(fleet.free),
            };
            return match most.min(MOST_CLAIMED) {
                0 => BalanceStep::Nothing,
                most => BalanceStep::Claim(most),
            };
        }
        self.free_since = None;
        let threshold = share + share * SLACK_PERCENT / 100 + SLACK;
        self.releasing = own.relays > share && (self.releasing || own.relays > threshold);
        if self.releasing {
            BalanceStep::Release((own.relays - share).min(MOST_RELEASED))
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
    fn relays_unowned_for_long_are_claimed_even_above_the_share() {
        let mut balance = Balance::default();
        // The other node should claim them and does not.
        let fleet = fleet(&[60, 10], 40);
        let now = Instant::now();
        assert_eq!(balance.next(&fleet, 1, now), BalanceStep::Nothing);
        let a_moment_later = now + Duration::from_millis(100);
        assert_eq!(
            balance.next(&fleet, 1, a_moment_later),
            BalanceStep::Nothing
        );
        assert_eq!(
            balance.next(&fleet, 1, now + ANY_NODE_CLAIMS_AFTER),
            BalanceStep::Claim(40)
        );
    }

    #[test]
    fn a_joining_node_gets_its_share_in_small_groups() {
        let mut relays = [300u64, 0];
        let mut releasing = Balance::default();
        let mut taking = Balance::default();
        let now = Instant::now();
        for _ in 0..20 {
            if let BalanceStep::Release(most) = releasing.next(&fleet(&relays, 0), 1, now) {
                assert!(most <= MOST_RELEASED);
                relays[0] -= most;
                assert_eq!(
                    taking.next(&fleet(&relays, most), 2, now),
                    BalanceStep::Claim(most)
                );
                assert_eq!(
                    releasing.next(&fleet(&relays, most), 1, now),
                    BalanceStep::Nothing
                );
                relays[1] += most;
            }
        }
        assert_eq!(relays, [150, 150]);
    }

    #[test]
    fn a_small_imbalance_moves_no_relay() {
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
    fn a_leaving_node_claims_nothing_and_has_no_share() {
        let mut leaving = fleet(&[10, 10, 10], 6);
        leaving.nodes[2].leaving = true;
        let next = |epoch| Balance::default().next(&leaving, epoch, Instant::now());
        assert_eq!(next(3), BalanceStep::Nothing);
        assert_eq!(next(1), BalanceStep::Claim(6));
    }
}
