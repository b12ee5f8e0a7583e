//! What a relay knows beside its durable state: calls in flight, the next looks, readings. Rebuilt after a crash.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::action::{ActionId, Call};
use super::event::EgressReading;
use super::failure::{Failure, Jitter};
use super::presence::PresenceBook;

/// One kind of work, with at most one call in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// The call in flight.
    pub(super) flight: Option<(ActionId, Call)>,
    /// Not before this; none: at once.
    pub(super) due: Option<DateTime<Utc>>,
    /// The time to which a notification last brought a call forward.
    pub(super) hinted_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The name of the call whose credentials were refused last, until that call is answered or fails otherwise.
    pub(super) refused: Option<&'static str>,
}

impl Slot {
    /// Nothing in flight, no failure, due at once.
    pub(super) fn rest(&mut self) {
        self.failures = 0;
        self.due = None;
    }

    /// Due at `at`, or earlier if it already was.
    pub(super) fn hasten(&mut self, at: DateTime<Utc>) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// The shortest intervals between two looks of one relay at which the polls of all fit into the budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Intervals {
    /// At the feed.
    pub feed: Duration,
    /// At the channel's hosts.
    pub hosts: Duration,
    /// At the egress.
    pub egress: Duration,
}

/// What the budgets leave to each relay. Zero: whatever its own intervals ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// To one that is live and well.
    pub live: Intervals,
    /// To one that waits to be live, or is interrupted: it has the first call on what there is.
    pub urgent: Intervals,
}

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub(super) enum Kind {
    /// Create, rotate, disable, delete the ingest.
    Input,
    /// Acquire, start, update, stop the egress.
    Egress,
    /// Look at the feed.
    Feed,
    /// Look at the egress.
    Health,
    /// Look at the channel's hosts.
    Hosts,
    /// Look for recordings.
    Recordings,
}

/// What was seen of the feed.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedWatch {
    /// The last reading: streaming and playable.
    pub(super) good: bool,
    /// The first of the bad readings in a row.
    pub(super) bad_since: Option<DateTime<Utc>>,
    /// A verified notification said that the encoder has gone: one bad reading is enough.
    pub(super) told_gone: bool,
    /// A verified notification said why Cloudflare refused the feed: one bad reading is enough.
    pub(super) told_errored: Option<String>,
    /// A verified notification said that an encoder connected: look often until then.
    pub(super) eager_until: Option<DateTime<Utc>>,
    /// The first of the polls in a row that found no ingest.
    pub(super) missing_since: Option<DateTime<Utc>>,
    /// What the last reading said, for people.
    pub(super) last: Option<&'static str>,
}

/// What was seen of the seller.
#[derive(Debug, Clone, Default)]
pub(super) struct SellerWatch {
    /// What the sources say.
    pub(super) book: PresenceBook,
    /// The first of the readings in a row that said they are away.
    pub(super) away_since: Option<DateTime<Utc>>,
    /// A verified notification said that they left: one such reading is enough.
    pub(super) told_left: bool,
}

/// Everything volatile.
#[derive(Debug, Clone, Default)]
pub(super) struct Volatile {
    pub(super) incarnation: u32,
    pub(super) numbers: u32,
    pub(super) input: Slot,
    pub(super) egress: Slot,
    pub(super) feed: Slot,
    pub(super) health: Slot,
    pub(super) hosts: Slot,
    pub(super) recordings: Slot,
    /// A resource to start the next egress on, and when it was acquired.
    pub(super) acquired: Option<(String, DateTime<Utc>)>,
    /// A resource was acquired before the ingest was there; a second time it waits for that.
    pub(super) acquired_early: bool,
    /// The start goes to a new resource, for the same egress.
    pub(super) reacquire: bool,
    /// Starts in a row whose resource Agora did not take.
    pub(super) resources_refused: u32,
    /// Creations of the ingest in a row whose key's ingest was deleted.
    pub(super) keys_refused: u32,
    /// The creation of the ingest may have been carried out.
    pub(super) input_doubt: bool,
    /// The start of the egress may have been carried out.
    pub(super) egress_doubt: bool,
    /// A start repeated as the poll for one that may have been carried out was refused.
    pub(super) poll_refused: bool,
    /// The egress of the channel's last relay is down.
    pub(super) predecessor_down: bool,
    /// A call that makes something reached its vendor. An acquired resource makes nothing: it expires unused.
    pub(super) called: bool,
    /// The last failure of a call.
    pub(super) last_failure: Option<Failure>,
    /// No deadline is acted on before this, or before one poll was answered.
    pub(super) hold_until: Option<DateTime<Utc>>,
    pub(super) watch: FeedWatch,
    pub(super) seller: SellerWatch,
    /// 404s in a row for the egress.
    pub(super) misses: usize,
    /// When the first of them came.
    pub(super) missing_since: Option<DateTime<Utc>>,
    /// What was last seen of the egress.
    pub(super) last_egress: Option<EgressReading>,
    /// Looks at the egress since it was accepted.
    pub(super) health_polls: usize,
    /// The egress is to be told its target once more.
    pub(super) update_wanted: bool,
    /// How often it was, since its output last published.
    pub(super) updates: u32,
    /// When the recorder's page last reported that it cannot join, as far as the journal has it.
    pub(super) page_trouble_at: Option<DateTime<Utc>>,
    /// How often it may look.
    pub(super) pace: Pace,
    /// Spreads its next looks: drawn anew with every answer.
    pub(super) jitter: Jitter,
    /// The last poll before `live_timeout` is under way, until then at most.
    pub(super) last_poll_until: Option<DateTime<Utc>>,
}

impl Volatile {
    pub(super) fn slot(&mut self, kind: Kind) -> &mut Slot {
        match kind {
            Kind::Input => &mut self.input,
            Kind::Egress => &mut self.egress,
            Kind::Feed => &mut self.feed,
            Kind::Health => &mut self.health,
            Kind::Hosts => &mut self.hosts,
            Kind::Recordings => &mut self.recordings,
        }
    }

    pub(super) fn slot_ref(&self, kind: Kind) -> &Slot {
        match kind {
            Kind::Input => &self.input,
            Kind::Egress => &self.egress,
            Kind::Feed => &self.feed,
            Kind::Health => &self.health,
            Kind::Hosts => &self.hosts,
            Kind::Recordings => &self.recordings,
        }
    }
}
