//! How often a relay may look, so that all relays together stay within the vendors' budgets; and when, so that they do
//! not all look at once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Relay;
use super::phase::Phase;
use super::volatile::{Intervals, Kind, Pace};

/// How long a relay looks at the manifest only, and often, after a notification that an encoder connected
/// ([`super::Hint::FeedConnected`]): between two such polls at least so long.
const EAGER: Duration = Duration::from_millis(500);
/// 5, 15 and 45 s after the egress was accepted, then at every `query_interval`.
const AFTER_ACCEPTANCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];

impl Relay {
    /// From now on it looks no more often than this. What is due already stays so.
    pub fn keep_pace(&mut self, pace: Pace) {
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

    /// Whether a notification said that an encoder connected, not long ago, and nothing has come of it yet.
    pub(super) fn is_eager(&self, now: DateTime<Utc>) -> bool {
        let until = self.volatile.watch.eager_until;
        self.durable.phase != Phase::Live && until.is_some_and(|until| now < until)
    }

    /// The interval between two looks at the feed.
    pub(super) fn feed_interval(&self, now: DateTime<Utc>) -> Duration {
        let floor = self.floor().feed;
        match self.is_eager(now) {
            // The floor is of looks that make two calls; such a one makes a single one.
            true => self.poll_interval().min(EAGER.max(floor / 2)),
            false => self.poll_interval().max(floor),
        }
    }

    /// The interval between two looks at the hosts.
    pub(super) fn hosts_interval(&self) -> Duration {
        self.poll_interval().max(self.floor().hosts)
    }

    /// The interval between two looks at the egress once it runs; more often while the feed is gone.
    fn egress_interval(&self) -> Duration {
        let timing = &self.durable.spec.timing;
        let regular = match self.durable.feed_gone_since {
            Some(_) => timing.query_interval.min(timing.poll_interval * 3),
            None => timing.query_interval,
        };
        regular.max(self.floor().egress)
    }

    /// A notification brings a poll forward. There may be any number of them, so the polls they lead to keep a distance: the
    /// eager one's, but for recordings, each of which is a call of the API's budget.
    pub(super) fn hint_hastens(&mut self, kind: Kind, now: DateTime<Utc>) {
        let (floor, poll) = (self.floor(), self.durable.spec.timing.poll_interval);
        let eager = EAGER.min(poll / 5);
        let distance = match kind {
            Kind::Feed => eager.max(floor.feed / 2),
            Kind::Hosts => eager.max(floor.hosts / 2),
            Kind::Health => eager.max(floor.egress / 2),
            Kind::Recordings | Kind::Input | Kind::Egress => poll,
        };
        let slot = self.volatile.slot(kind);
        let at = match slot.hinted_at {
            // Others were told of before, and their poll is still to come.
            Some(at) if at > now => at,
            Some(at) => now.max(at + distance),
            None => now,
        };
        slot.hinted_at = Some(at);
        slot.hasten(at);
    }

    /// What a relay's own settings say.
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

    /// The wait before the next look at the egress, which is asked for now.
    pub(super) fn next_egress_poll(&mut self) -> Duration {
        let early = AFTER_ACCEPTANCE.get(self.volatile.health_polls).copied();
        self.volatile.health_polls = self.volatile.health_polls.saturating_add(1);
        let regular = self.egress_interval();
        early.map_or(regular, |early| early.max(self.floor().egress).min(regular))
    }

    /// The look of a live relay was answered: the next one comes an interval later on average, a quarter sooner or later,
    /// so that relays that began together drift apart. What was hastened meanwhile stays so.
    pub(super) fn space_out(&mut self, kind: Kind, now: DateTime<Utc>) {
        if self.durable.phase != Phase::Live {
            return;
        }
        let interval = match kind {
            Kind::Feed => self.feed_interval(now),
            Kind::Hosts => self.hosts_interval(),
            Kind::Health if self.volatile.health_polls > AFTER_ACCEPTANCE.len() => {
                self.egress_interval()
            }
            Kind::Health | Kind::Input | Kind::Egress | Kind::Recordings => return,
        };
        let jitter = self.volatile.jitter;
        let slot = self.volatile.slot(kind);
        if slot.due.is_some_and(|due| due > now) {
            slot.due = Some(now + interval * 3 / 4 + jitter.of(interval) / 2);
        }
    }

    /// It has just gone live, perhaps together with many others: its first looks as such are spread over the second half
    /// of the interval.
    pub(super) fn space_out_first(&mut self, now: DateTime<Utc>) {
        let jitter = self.volatile.jitter;
        let spread = |interval: Duration| now + interval / 2 + jitter.of(interval) / 2;
        let (feed, hosts) = (self.feed_interval(now), self.hosts_interval());
        self.volatile.feed.due = Some(spread(feed));
        self.volatile.hosts.due = Some(spread(hosts));
    }

    /// The first looks after a recovery, perhaps of very many relays at once: spread over as long as all of them take. One
    /// that is about to be ended by a deadline looks before.
    pub(super) fn space_out_recovered(&mut self, now: DateTime<Utc>) {
        let jitter = self.volatile.jitter;
        let timing = &self.durable.spec.timing;
        let (poll, query, bulk) = (
            timing.poll_interval,
            timing.query_interval,
            timing.recordings_interval,
        );
        let floor = match self.deadline() {
            Some((at, _)) if at <= now + super::HOLD => Intervals::default(),
            Some(_) | None => self.floor(),
        };
        let volatile = &mut self.volatile;
        volatile.feed.due = Some(now + jitter.of(poll.max(floor.feed)));
        volatile.hosts.due = Some(now + jitter.of(poll.max(floor.hosts)));
        volatile.recordings.due = Some(now + jitter.of(bulk));
        volatile.health.due = Some(now + jitter.of(query.max(floor.egress)));
        volatile.health_polls = usize::MAX;
    }
}
