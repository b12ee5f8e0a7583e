//! When to poll: rarely enough for the vendors' rate limits, and not all relays at once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Relay;
use super::capabilities::FeedPollCost;
use super::phase::Phase;
use super::volatile::{Intervals, Lane, Pace};

/// Between polls of the manifest alone, after [`super::Hint::FeedConnected`].
const EAGER_INTERVAL: Duration = Duration::from_millis(500);
/// Polls come 5, 15 and 45 s after the egress was accepted, then every `query_interval`.
const AFTER_ACCEPTANCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];

impl Relay {
    /// Sets the minimum poll intervals. A due poll stays due.
    pub fn set_pace(&mut self, pace: Pace) {
        self.volatile.pace = pace;
    }

    fn floor(&self) -> Intervals {
        match self.durable.phase {
            Phase::Live => self.volatile.pace.live,
            Phase::Provisioning
            | Phase::AwaitingLive
            | Phase::Interrupted
            | Phase::Stopping
            | Phase::Finalizing
            | Phase::Ended => self.volatile.pace.urgent,
        }
    }

    /// After a hint about a connect, until live.
    pub(super) fn is_eager(&self, now: DateTime<Utc>) -> bool {
        let until = self.volatile.feed.eager_until;
        self.durable.phase != Phase::Live && until.is_some_and(|until| now < until)
    }

    pub(super) fn feed_interval(&self, now: DateTime<Utc>) -> Duration {
        let floor = self.floor().feed;
        let capabilities = &self.durable.spec.capabilities;
        let is_free = capabilities.manifest_first || capabilities.feed_poll == FeedPollCost::Public;
        match is_free && self.is_eager(now) {
            // The minimum is for two calls per poll; this poll makes one.
            true => self.poll_interval().min(EAGER_INTERVAL.max(floor / 2)),
            false => self.poll_interval().max(floor),
        }
    }

    pub(super) fn hosts_interval(&self) -> Duration {
        self.poll_interval().max(self.floor().hosts)
    }

    fn egress_interval(&self) -> Duration {
        let timing = &self.durable.spec.timing;
        let regular = match self.durable.feed_gone_since {
            Some(_) => timing.query_interval.min(timing.poll_interval * 3),
            None => timing.query_interval,
        };
        regular.max(self.floor().egress)
    }

    /// Brings a poll forward. As hints may come in any number, their polls keep a distance: a full interval where each
    /// spends the platform API's rate budget.
    pub(super) fn poll_on_hint(&mut self, lane: Lane, now: DateTime<Utc>) {
        let (floor, poll) = (self.floor(), self.durable.spec.timing.poll_interval);
        let eager = EAGER_INTERVAL.min(poll / 5);
        let distance = match lane {
            Lane::FeedPoll => match self.durable.spec.capabilities.feed_poll {
                FeedPollCost::Public => eager.max(floor.feed / 2),
                FeedPollCost::Bulk | FeedPollCost::Each => poll.max(floor.feed),
            },
            Lane::HostsPoll => eager.max(floor.hosts / 2),
            Lane::EgressPoll => eager.max(floor.egress / 2),
            Lane::RecordingsPoll | Lane::Ingest | Lane::Egress => poll,
        };
        let state = self.volatile.lane_mut(lane);
        let at = match state.hinted_at {
            // That hint's poll is still to come.
            Some(at) if at > now => at,
            Some(at) => now.max(at + distance),
            None => now,
        };
        state.hinted_at = Some(at);
        state.bring_forward(at);
    }

    /// The spec's interval, without the minimum.
    fn poll_interval(&self) -> Duration {
        let timing = &self.durable.spec.timing;
        match self.durable.phase {
            Phase::Live => timing.live_check_interval,
            Phase::Provisioning
            | Phase::AwaitingLive
            | Phase::Interrupted
            | Phase::Stopping
            | Phase::Finalizing
            | Phase::Ended => timing.poll_interval,
        }
    }

    pub(super) fn next_egress_interval(&mut self) -> Duration {
        let early = AFTER_ACCEPTANCE.get(self.volatile.egress_polls).copied();
        self.volatile.egress_polls = self.volatile.egress_polls.saturating_add(1);
        let regular = self.egress_interval();
        early.map_or(regular, |early| early.max(self.floor().egress).min(regular))
    }

    /// Moves the next poll by up to a quarter of its interval, so that live relays that started together drift apart. A
    /// poll that was brought forward stays so.
    pub(super) fn spread_next(&mut self, lane: Lane, now: DateTime<Utc>) {
        if self.durable.phase != Phase::Live {
            return;
        }
        let interval = match lane {
            Lane::FeedPoll => self.feed_interval(now),
            Lane::HostsPoll => self.hosts_interval(),
            Lane::EgressPoll if self.volatile.egress_polls > AFTER_ACCEPTANCE.len() => {
                self.egress_interval()
            }
            Lane::EgressPoll | Lane::Ingest | Lane::Egress | Lane::RecordingsPoll => return,
        };
        let jitter = self.volatile.jitter;
        let state = self.volatile.lane_mut(lane);
        let hinted = state.hinted_at.is_some_and(|at| at > now);
        if !hinted && state.due.is_some_and(|due| due > now) {
            state.due = Some(now + interval * 3 / 4 + jitter.of(interval) / 2);
        }
    }

    /// Spreads the first polls after going live over half an interval: others may have gone live at once.
    pub(super) fn spread_first_live(&mut self, now: DateTime<Utc>) {
        let jitter = self.volatile.jitter;
        let spread = |interval: Duration| now + interval / 2 + jitter.of(interval) / 2;
        let (feed, hosts) = (self.feed_interval(now), self.hosts_interval());
        self.volatile.feed_poll.due = Some(spread(feed));
        self.volatile.hosts_poll.due = Some(spread(hosts));
    }

    /// Spreads the first polls after a recovery, perhaps of thousands of relays, over an interval in which all fit. One
    /// close to a deadline polls earlier.
    pub(super) fn spread_recovered(&mut self, now: DateTime<Utc>) {
        let jitter = self.volatile.jitter;
        let timing = &self.durable.spec.timing;
        let (poll, query, bulk) = (
            timing.poll_interval,
            timing.query_interval,
            timing.recordings_interval,
        );
        let floor = match self.deadline() {
            Some((at, _)) if at <= now + super::DEADLINE_HOLD => Intervals::default(),
            Some(_) | None => self.floor(),
        };
        let volatile = &mut self.volatile;
        volatile.feed_poll.due = Some(now + jitter.of(poll.max(floor.feed)));
        volatile.hosts_poll.due = Some(now + jitter.of(poll.max(floor.hosts)));
        volatile.recordings_poll.due = Some(now + jitter.of(bulk));
        volatile.egress_poll.due = Some(now + jitter.of(query.max(floor.egress)));
        volatile.egress_polls = usize::MAX;
    }
}
