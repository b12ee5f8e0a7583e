//! State that is lost in a crash: calls in flight, poll times, readings.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::action::{ActionId, Call};
use super::egress::Preparation;
use super::event::EgressReading;
use super::failure::{Failure, Jitter};
use super::presence::PresenceReports;

#[derive(Debug, Clone, Default)]
pub(super) struct LaneState {
    pub(super) in_flight: Option<(ActionId, Call)>,
    /// Earliest time of the next call. `None`: now.
    pub(super) due: Option<DateTime<Utc>>,
    /// The time to which a hint last brought the call forward.
    pub(super) hinted_at: Option<DateTime<Utc>>,
    /// Consecutive.
    pub(super) failures: u32,
    /// The call whose credentials were refused last.
    pub(super) refused: Option<&'static str>,
}

impl LaneState {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.due = None;
    }

    pub(super) fn bring_forward(&mut self, at: DateTime<Utc>) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// Minimum poll intervals of one relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Intervals {
    pub feed: Duration,
    pub hosts: Duration,
    pub egress: Duration,
}

/// Minimum poll intervals at which the polls of all relays fit into the rate budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// For live relays.
    pub live: Intervals,
    /// For relays that are not live yet, or interrupted. They have priority.
    pub urgent: Intervals,
}

/// One kind of call, at most one in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub(super) enum Lane {
    /// Create, renew the key, close, remove.
    Ingest,
    /// Prepare, start, update, stop.
    Egress,
    FeedPoll,
    EgressPoll,
    HostsPoll,
    RecordingsPoll,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FeedWatch {
    /// The last reading: publishing and watchable.
    pub(super) good: bool,
    /// The first of consecutive bad readings.
    pub(super) bad_since: Option<DateTime<Utc>>,
    /// From a hint: one bad reading is enough.
    pub(super) reported_gone: bool,
    /// From a hint, until another hint or the egress contradicts it.
    pub(super) publisher_left: bool,
    /// The same, with the platform's reason.
    pub(super) reported_error: Option<String>,
    /// After a hint about a connect, the end of short poll intervals.
    pub(super) eager_until: Option<DateTime<Utc>>,
    /// The first of consecutive polls without an ingest.
    pub(super) missing_since: Option<DateTime<Utc>>,
    pub(super) last: Option<&'static str>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SellerWatch {
    pub(super) reports: PresenceReports,
    /// The first of consecutive `Absent` readings.
    pub(super) away_since: Option<DateTime<Utc>>,
    /// From a hint: one `Absent` reading is enough.
    pub(super) reported_left: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Volatile {
    pub(super) incarnation: u32,
    pub(super) last_number: u32,
    pub(super) ingest: LaneState,
    pub(super) egress: LaneState,
    pub(super) feed_poll: LaneState,
    pub(super) egress_poll: LaneState,
    pub(super) hosts_poll: LaneState,
    pub(super) recordings_poll: LaneState,
    /// For the next egress.
    pub(super) prepared: Option<Preparation>,
    /// It was prepared before the ingest was ready; the next preparation waits for the ingest.
    pub(super) prepared_early: bool,
    /// The next start needs a new preparation.
    pub(super) prepare_again: bool,
    /// Consecutive starts whose preparation was refused.
    pub(super) preparations_refused: u32,
    /// Consecutive creations that left no ingest.
    pub(super) ingests_missed: u32,
    pub(super) ingest_in_doubt: bool,
    /// The channel keeps no ingest.
    pub(super) nothing_kept: bool,
    /// Since when the platform answers that the broadcast of a closed ingest goes on.
    pub(super) still_live_since: Option<DateTime<Utc>>,
    pub(super) egress_in_doubt: bool,
    /// The repeat of a start in doubt was refused.
    pub(super) start_repeat_refused: bool,
    pub(super) predecessor_down: bool,
    /// A vendor may have created something. A preparation does not count: it expires.
    pub(super) reached_vendor: bool,
    pub(super) last_failure: Option<Failure>,
    /// No deadline fires before this time, or before a poll is answered.
    pub(super) hold_until: Option<DateTime<Utc>>,
    pub(super) feed: FeedWatch,
    pub(super) seller: SellerWatch,
    /// Consecutive 404s for the egress.
    pub(super) not_found_count: usize,
    /// The first of them.
    pub(super) not_found_since: Option<DateTime<Utc>>,
    pub(super) last_egress: Option<EgressReading>,
    /// Since the egress was accepted.
    pub(super) egress_polls: usize,
    /// The egress needs its target URL again.
    pub(super) update_wanted: bool,
    /// Since the output last published.
    pub(super) updates: u32,
    /// The last report in the journal that the recorder page cannot join.
    pub(super) page_trouble_at: Option<DateTime<Utc>>,
    pub(super) pace: Pace,
    /// Spreads the next polls; replaced by each answer.
    pub(super) jitter: Jitter,
    pub(super) last_poll_until: Option<DateTime<Utc>>,
}

impl Volatile {
    pub(super) fn lane_mut(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Ingest => &mut self.ingest,
            Lane::Egress => &mut self.egress,
            Lane::FeedPoll => &mut self.feed_poll,
            Lane::EgressPoll => &mut self.egress_poll,
            Lane::HostsPoll => &mut self.hosts_poll,
            Lane::RecordingsPoll => &mut self.recordings_poll,
        }
    }

    pub(super) fn lane(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Ingest => &self.ingest,
            Lane::Egress => &self.egress,
            Lane::FeedPoll => &self.feed_poll,
            Lane::EgressPoll => &self.egress_poll,
            Lane::HostsPoll => &self.hosts_poll,
            Lane::RecordingsPoll => &self.recordings_poll,
        }
    }
}
