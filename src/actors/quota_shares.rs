//! Divides each vendor's quota among the nodes. Pure, except for `update`.
//!
//! The shares of all nodes never add up to more than the quota, even while a node joins or leaves. A node above its part first
//! uses less, and lowers its stored share once its use fits; a node below its part takes what is free. The share of a node
//! that left stays reserved until its last calls have arrived. For a quota with a long window, the node that takes it over
//! first reads from the vendor what is left.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::NodeContext;
use crate::store::{Fleet, ShareChange, Shares, StoreError};

/// By then the last calls of a node that left are outside a window of one second.
const UNTIL_CALLS_ARE_OLD: Duration = Duration::from_secs(3);
/// The smallest useful share: two calls may be sent together.
const LEAST: u32 = 2;
/// The length of a turn in seconds; a hand-over takes two.
const TURN: i64 = 6;
const PAUSE_TOLERANCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct BudgetUse {
    name: &'static str,
    /// The most calls of all nodes in a window.
    quota: u32,
    /// This node's calls in the window.
    used: u32,
    /// The rest of the vendor's pause.
    pause: Option<Duration>,
}

#[derive(Debug, Default, PartialEq)]
struct SharePlan {
    /// Applies at once; the stored share may stay larger.
    share: u32,
    /// The node is due a share, but none is free.
    is_waiting: bool,
    changes: Vec<ShareChange>,
}

#[derive(Debug, Clone, Copy)]
struct NodeRank {
    nodes: u32,
    /// Nodes that joined earlier.
    rank: u32,
    turn: u32,
}

impl NodeRank {
    fn of(fleet: &Fleet, epoch: i64, now: DateTime<Utc>) -> Self {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let before = fleet.nodes.iter().filter(|node| node.epoch < epoch);
        Self {
            nodes: number(fleet.nodes.len()).max(1),
            rank: number(before.count()),
            turn: u32::try_from(now.timestamp() / TURN).unwrap_or_default(),
        }
    }

    /// Nodes take turns where the quota is too small for all.
    fn part(self, quota: u32) -> u32 {
        let least = LEAST.min(quota).max(1);
        if quota / self.nodes >= least {
            return quota / self.nodes;
        }
        let seats = (quota / least).max(1);
        let first = u64::from(self.turn) * u64::from(seats) % u64::from(self.nodes);
        let (rank, nodes) = (u64::from(self.rank), u64::from(self.nodes));
        match (rank + nodes - first) % nodes < u64::from(seats) {
            true => quota / seats,
            false => 0,
        }
    }
}

fn plan(own: &BudgetUse, epoch: i64, node: NodeRank, shares: &Shares) -> SharePlan {
    let mut changes = Vec::new();
    let mut others = 0u32;
    let mut held = 0;
    for share in shares.all.iter().filter(|share| share.budget == own.name) {
        let (budget, of) = (share.budget.clone(), share.epoch);
        if share.epoch == epoch {
            held = share.permits;
            continue;
        }
        match share.expires_in {
            None if share.orphaned => changes.push(ShareChange::Expire {
                budget,
                epoch: of,
                after: UNTIL_CALLS_ARE_OLD,
            }),
            Some(Duration::ZERO) if share.orphaned => {
                changes.push(ShareChange::Forget { budget, epoch: of });
                continue;
            }
            Some(_) | None => {}
        }
        others = others.saturating_add(share.permits);
    }
    let part = node.part(own.quota);
    let free = own.quota.saturating_sub(others);
    let share = match part.min(free) {
        // Too small to use: left to other nodes.
        little if little < LEAST.min(own.quota) => 0,
        share => share,
    };
    // Calls made under the larger share count until they left the window.
    let hold = match share < held {
        true => share.max(own.used.min(held)),
        false => share,
    };
    if hold != held {
        changes.push(ShareChange::Hold {
            budget: own.name.to_owned(),
            permits: hold,
        });
    }
    if let Some(pause) = own.pause {
        let known = shares.pauses.get(own.name).copied().unwrap_or_default();
        if pause > known + PAUSE_TOLERANCE {
            changes.push(ShareChange::Pause {
                budget: own.name.to_owned(),
                pause,
            });
        }
    }
    SharePlan {
        share,
        is_waiting: share == 0 && part > 0,
        changes,
    }
}

/// On an error no share has grown.
pub(super) async fn update(
    context: &NodeContext,
    fleet: &Fleet,
    epoch: i64,
) -> Result<(), StoreError> {
    let node = NodeRank::of(fleet, epoch, Utc::now());
    let all = || -> Vec<BudgetUse> { context.vendors.governors().map(budget_use).collect() };
    let own = all();
    let shares = context.store.shares().await?;
    let plans: Vec<_> = own
        .iter()
        .map(|own| plan(own, epoch, node, &shares))
        .collect();
    for (governor, (own, plan)) in context.vendors.governors().zip(own.iter().zip(&plans)) {
        let known = shares.pauses.get(own.name).copied().unwrap_or_default();
        if known > own.pause.unwrap_or_default() + PAUSE_TOLERANCE {
            governor.pause(known);
        }
        // A larger share applies only after it is stored.
        let held = |share: &crate::store::Share| share.budget == own.name && share.epoch == epoch;
        let held = shares.all.iter().find(|share| held(share));
        governor.set_share(plan.share.min(held.map_or(0, |share| share.permits)));
    }
    if plans.iter().all(|plan| plan.changes.is_empty()) {
        return Ok(());
    }
    let mut decided = Vec::new();
    let done = context
        .store
        .change_shares(epoch, |shares| {
            // Read again: calls went on, within the shares just set.
            decided = all()
                .iter()
                .map(|own| plan(own, epoch, node, shares))
                .collect();
            decided
                .iter()
                .flat_map(|plan: &SharePlan| plan.changes.clone())
                .collect()
        })
        .await?;
    if done {
        for (governor, plan) in context.vendors.governors().zip(&decided) {
            governor.set_share(plan.share);
        }
    }
    log_missing_shares(&own, &decided);
    Ok(())
}

fn budget_use(governor: &crate::vendors::governor::Governor) -> BudgetUse {
    let snapshot = governor.snapshot();
    BudgetUse {
        name: governor.name(),
        quota: governor.allowed(),
        used: governor.used_by_us(),
        pause: snapshot.paused_for,
    }
}

fn log_missing_shares(own: &[BudgetUse], plans: &[SharePlan]) {
    let without: BTreeSet<_> = own
        .iter()
        .zip(plans)
        .filter(|(_, plan)| plan.is_waiting)
        .map(|(own, _)| own.name)
        .collect();
    if !without.is_empty() {
        tracing::info!(
            budgets = ?without,
            "waiting for a share of these budgets: other nodes, or nodes that left, still hold them"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::store::Share;

    const NAME: &str = "platform";

    fn own(quota: u32, used: u32) -> BudgetUse {
        BudgetUse {
            name: NAME,
            quota,
            used,
            pause: None,
        }
    }

    fn one_of(nodes: usize) -> NodeRank {
        NodeRank {
            nodes: u32::try_from(nodes).unwrap(),
            rank: 0,
            turn: 0,
        }
    }

    fn shares(all: &[(i64, u32)]) -> Shares {
        let share = |(epoch, permits): &(i64, u32)| Share {
            budget: NAME.to_owned(),
            epoch: *epoch,
            permits: *permits,
            orphaned: false,
            expires_in: None,
        };
        Shares {
            all: all.iter().map(share).collect(),
            pauses: HashMap::new(),
        }
    }

    fn hold(permits: u32) -> ShareChange {
        ShareChange::Hold {
            budget: NAME.to_owned(),
            permits,
        }
    }

    #[test]
    fn a_node_alone_has_the_whole_quota() {
        let plan = plan(&own(960, 0), 1, one_of(1), &shares(&[]));
        assert_eq!((plan.share, plan.changes), (960, vec![hold(960)]));
    }

    #[test]
    fn a_node_that_joins_takes_what_is_free_and_waits_for_the_rest() {
        let joins = plan(&own(960, 0), 2, one_of(2), &shares(&[(1, 960)]));
        assert_eq!(
            (joins.share, joins.is_waiting),
            (0, true),
            "nothing is free yet"
        );
        assert_eq!(joins.changes, []);
        let joins = plan(&own(960, 0), 2, one_of(2), &shares(&[(1, 900)]));
        assert_eq!((joins.share, joins.changes), (60, vec![hold(60)]));
    }

    #[test]
    fn a_node_above_its_part_uses_less_first_and_lowers_its_share_when_its_use_fits() {
        let before = plan(&own(960, 900), 1, one_of(2), &shares(&[(1, 960)]));
        assert_eq!((before.share, before.changes), (480, vec![hold(900)]));
        let after = plan(&own(960, 300), 1, one_of(2), &shares(&[(1, 900), (2, 60)]));
        assert_eq!((after.share, after.changes), (480, vec![hold(480)]));
        let settled = plan(&own(960, 300), 1, one_of(2), &shares(&[(1, 480), (2, 480)]));
        assert_eq!((settled.share, settled.changes), (480, Vec::new()));
    }

    #[test]
    fn the_share_of_a_node_that_left_is_free_only_when_its_calls_are_old() {
        let mut shares = shares(&[(1, 480), (2, 480)]);
        shares.all[1].orphaned = true;
        let gone = plan(&own(960, 0), 1, one_of(1), &shares);
        assert_eq!(gone.share, 480);
        assert_eq!(
            gone.changes,
            [ShareChange::Expire {
                budget: NAME.to_owned(),
                epoch: 2,
                after: UNTIL_CALLS_ARE_OLD
            }]
        );
        shares.all[1].expires_in = Some(Duration::from_secs(1));
        assert_eq!(plan(&own(960, 0), 1, one_of(1), &shares).changes, []);
        shares.all[1].expires_in = Some(Duration::ZERO);
        let old = plan(&own(960, 0), 1, one_of(1), &shares);
        assert_eq!(old.share, 960);
        assert_eq!(old.changes.len(), 2, "{:?}", old.changes);
    }

    #[test]
    fn the_shares_of_a_fleet_never_add_up_to_more_than_the_quota() {
        let mut seed = 7u64;
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for quota in [2, 7, 10, 960] {
            let mut fleet = shares(&[]);
            let mut used: HashMap<i64, u32> = HashMap::new();
            for step in 0..2000i64 {
                match draw(10) {
                    0 if used.len() < 5 => {
                        used.insert(step, 0);
                    }
                    1 if used.len() > 1 => {
                        let gone = *used.keys().min().unwrap();
                        used.remove(&gone);
                        for share in fleet.all.iter_mut().filter(|share| share.epoch == gone) {
                            share.orphaned = true;
                        }
                    }
                    2 => {
                        for share in fleet.all.iter_mut().filter(|share| share.orphaned) {
                            share.expires_in = Some(Duration::ZERO);
                        }
                    }
                    _ => {}
                }
                let epochs: Vec<i64> = used.keys().copied().collect();
                for epoch in &epochs {
                    let mine = own(quota, used[epoch]);
                    let plan = plan(&mine, *epoch, one_of(epochs.len()), &fleet);
                    for change in plan.changes {
                        match change {
                            ShareChange::Hold { permits, .. } => {
                                assert!(permits >= used[epoch], "what is used is held");
                                fleet.all.retain(|share| share.epoch != *epoch);
                                fleet.all.extend(shares(&[(*epoch, permits)]).all);
                            }
                            ShareChange::Forget { epoch, .. } => {
                                fleet.all.retain(|share| share.epoch != epoch);
                            }
                            ShareChange::Expire { .. } | ShareChange::Pause { .. } => {}
                        }
                    }
                    let may = u64::from(plan.share);
                    let drawn = u32::try_from(draw(may + 1)).unwrap();
                    used.insert(*epoch, drawn.max(used[epoch] / 2));
                }
                let sum: u32 = fleet.all.iter().map(|share| share.permits).sum();
                assert!(sum <= quota, "{sum} of {quota} at {step}");
            }
        }
    }

    #[test]
    fn nodes_take_turns_at_a_quota_that_is_too_small_for_all() {
        for (quota, nodes) in [(1, 3), (2, 2), (2, 5), (5, 4), (7, 4)] {
            let mut had = vec![0; nodes];
            for turn in 0..u32::try_from(nodes).unwrap() * 10 {
                let mut sum = 0;
                for (rank, had) in (0..).zip(&mut had) {
                    let node = NodeRank {
                        rank,
                        turn,
                        ..one_of(nodes)
                    };
                    let part = node.part(quota);
                    assert!(part == 0 || part >= quota.min(LEAST));
                    sum += part;
                    *had += part;
                }
                assert!(sum <= quota && sum > 0, "{quota} for {nodes}: {sum}");
            }
            assert!(
                had.iter().all(|one| *one == had[0]),
                "{quota} for {nodes}: {had:?}"
            );
        }
        assert_eq!(one_of(4).part(960), 240);
    }

    #[test]
    fn a_pause_is_shared_with_the_other_nodes_once() {
        let mut own = own(960, 0);
        own.pause = Some(Duration::from_secs(30));
        let mut known = shares(&[(1, 960)]);
        let plan_of_pause = plan(&own, 1, one_of(1), &known);
        assert!(matches!(
            plan_of_pause.changes.as_slice(),
            [ShareChange::Pause { .. }]
        ));
        known
            .pauses
            .insert(NAME.to_owned(), Duration::from_millis(29_500));
        assert_eq!(plan(&own, 1, one_of(1), &known).changes, []);
    }
}
