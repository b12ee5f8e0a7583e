//! Computes how often relays may poll, from their number and the vendors' budgets. A relay waits before it polls, not for a
//! permit: queued polls would cost memory and delay urgent ones.

use std::time::Duration;

use super::calls::VendorClients;
use super::directory::{CountsByTarget, Pollers};
use crate::config::Settings;
use crate::relay::{Intervals, Pace, Spec};

/// For polls. The rest keeps waits for permits short.
const PART_OF_READ_QUOTA: f64 = 0.8;
/// For polls, of a quota that serves starts and stops too.
const PART_OF_MIXED_QUOTA: f64 = 0.5;
/// The least part of the polls' rate for live relays.
const LIVE_AT_LEAST: f64 = 0.25;

impl Pollers {
    /// The shortest intervals in seconds, live and urgent, with which all calls fit into `rate` a second. Urgent relays come first,
    /// with `calls` calls every `poll`; live relays poll every `check`.
    fn intervals(self, rate: f64, poll: Duration, calls: f64, check: Duration) -> (f64, f64) {
        let wanted = |count: u32, interval: Duration| f64::from(count) / interval.as_secs_f64();
        let urgent = wanted(self.urgent, poll) * calls;
        let live_may = (rate - urgent).max(rate * LIVE_AT_LEAST);
        let urgent_may = rate - wanted(self.live, check).min(live_may);
        let urgent_floor = match self.urgent {
            0 => 0.0,
            some => f64::from(some) * calls / urgent_may,
        };
        (f64::from(self.live) / live_may, urgent_floor)
    }
}

pub(super) fn pace(
    counts: CountsByTarget,
    nodes: u32,
    vendors: &VendorClients,
    settings: &Settings,
    spec: &Spec,
) -> Pace {
    let nodes = f64::from(nodes);
    let [_, _, channel] = vendors.agora.rates();
    let (poll, check) = (
        settings.relay.poll_interval,
        settings.relay.live_check_interval,
    );
    let feed = vendors
        .platforms
        .get(spec.platform.as_str())
        .map_or((0.0, 0.0), |platform| {
            let polls = platform.feed_polls();
            let part = match polls.is_shared_with_calls {
                true => PART_OF_MIXED_QUOTA,
                false => PART_OF_READ_QUOTA,
            };
            let rate = polls.calls_per_second * part / nodes;
            counts
                .feeds
                .intervals(rate, poll, polls.calls_until_live, check)
        });
    let hosts = counts
        .hosts
        .intervals(channel * PART_OF_READ_QUOTA / nodes, poll, 1.0, check);
    let egress = vendors
        .egresses
        .get(&spec.egress.backend.name)
        .map(|backend| {
            let rate = backend.rate() * PART_OF_MIXED_QUOTA / nodes;
            let query = backend.query_interval();
            counts.egresses.intervals(rate, poll * 3, 1.0, query)
        });
    let egress = egress.unwrap_or_default();
    Pace {
        live: intervals(feed.0, hosts.0, egress.0),
        urgent: intervals(feed.1, hosts.1, egress.1),
    }
}

fn intervals(feed: f64, hosts: f64, egress: f64) -> Intervals {
    // A day means never; a larger number could overflow.
    let seconds =
        |seconds: f64| Duration::try_from_secs_f64(seconds.min(86_400.0)).unwrap_or(Duration::ZERO);
    Intervals {
        feed: seconds(feed),
        hosts: seconds(hosts),
        egress: seconds(egress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS_UNTIL_LIVE: f64 = 2.0;
    const POLL: Duration = Duration::from_secs(5);
    const CHECK: Duration = Duration::from_secs(30);

    /// Calls a second at these intervals, or at the pollers' own if longer.
    fn calls(pollers: Pollers, rate: f64) -> f64 {
        let (live, urgent) = pollers.intervals(rate, POLL, CALLS_UNTIL_LIVE, CHECK);
        f64::from(pollers.live) / live.max(CHECK.as_secs_f64())
            + f64::from(pollers.urgent) * CALLS_UNTIL_LIVE / urgent.max(POLL.as_secs_f64())
    }

    #[test]
    fn any_number_of_pollers_keeps_the_budget_and_every_relay_polls() {
        for live in [0, 1, 20, 1000, 4000, 10_000, 100_000] {
            for urgent in [0, 1, 20, 300, 1000, 10_000] {
                let pollers = Pollers { live, urgent };
                let rate = 160.0;
                assert!(calls(pollers, rate) <= rate * 1.000_001, "{pollers:?}");
                let (live_waits, urgent_waits) =
                    pollers.intervals(rate, POLL, CALLS_UNTIL_LIVE, CHECK);
                assert!(live_waits <= f64::from(live) / (rate * LIVE_AT_LEAST) + 1e-6);
                assert!(urgent_waits.is_finite());
            }
        }
    }

    #[test]
    fn relays_that_are_not_yet_live_poll_first() {
        let pollers = Pollers {
            live: 10_000,
            urgent: 100,
        };
        let (live, urgent) = pollers.intervals(160.0, POLL, CALLS_UNTIL_LIVE, CHECK);
        assert!(urgent <= 5.0, "their own interval: {urgent}");
        assert!(
            (83.0..84.0).contains(&live),
            "120 calls a second are left: {live}"
        );
    }

    #[test]
    fn a_few_relays_poll_at_the_intervals_of_their_settings() {
        let pollers = Pollers {
            live: 100,
            urgent: 10,
        };
        let (live, urgent) = pollers.intervals(160.0, POLL, CALLS_UNTIL_LIVE, CHECK);
        assert!(live < 1.0 && urgent < 1.0);
    }
}
