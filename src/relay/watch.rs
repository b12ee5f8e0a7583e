//! What readings of feed, egress and seller mean. One bad reading decides nothing, a failed poll is no reading, and a
//! hint counts as the first of two.

use chrono::{DateTime, TimeDelta, Utc};

use super::egress::EgressHandle;
use super::event::{EgressReading, FeedReading, FeedSession, Hint, PageReport, PageTrouble};
use super::fact::Fact;
use super::failure::{Class, Failure};
use super::outcome::{Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::state::{Egress, EgressStage};
use super::step::{Ignored, Step};
use super::volatile::Lane;
use super::{Presence, Relay};

/// How long polls stay frequent after a hint about a connect.
const EAGER_PERIOD: TimeDelta = TimeDelta::seconds(15);
/// A page repeats its report; the journal keeps one in this time.
const PAGE_TROUBLE_INTERVAL: TimeDelta = TimeDelta::seconds(60);
const PAGE_JOIN: &str = "recorder_page.join";
/// How often a cut output gets its target URL again.
const MAX_UPDATES: u32 = 3;

impl Relay {
    pub(super) fn feed_read(
        &mut self,
        step: &mut Step,
        reading: FeedReading,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if !self.durable.phase.is_watched() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        let reading = self.own_broadcast(reading);
        if let Some(session) = reading.session.filter(|session| !self.knows(session)) {
            self.record(step, Fact::SessionSeen { session }, now)?;
        }
        // The publisher counts, as far as the platform tells it from a broadcast that is served on without one.
        let streams = match reading.publishing {
            None if self.publisher_is_gone() => Some(false),
            publishing => publishing.or(reading.watchable),
        };
        let watchable = reading.watchable.unwrap_or(true);
        self.volatile.feed.missing_since = None;
        self.volatile.feed.good = streams == Some(true) && watchable;
        self.volatile.feed.last = Some(match (streams, watchable) {
            (Some(true), true) => "streaming",
            (Some(true), false) => "streaming, but not yet playable",
            (Some(false), _) => "not streaming",
            (None, _) => "the platform cannot tell",
        });
        let gone = streams == Some(false);
        if streams == Some(true) {
            self.volatile.feed.reported_error = None;
            self.volatile.feed.bad_since = None;
            self.volatile.feed.reported_gone = false;
        }
        if let Some(reason) = self.volatile.feed.reported_error.clone().filter(|_| gone) {
            let mut outcome = Outcome::plain(OutcomeCode::IngestErrored);
            outcome.detail = self.observations(now);
            outcome.detail.feed = Some(reason);
            return self.end(step, outcome, now);
        }
        match self.durable.phase {
            Phase::Live if gone => self.bad_feed(step, now)?,
            Phase::Interrupted
                if self.volatile.feed.good && self.durable.feed_gone_since.is_some() =>
            {
                self.record(step, Fact::FeedRestored, now)?;
            }
            Phase::Interrupted if gone && self.durable.feed_gone_since.is_none() => {
                self.bad_feed(step, now)?;
            }
            Phase::Provisioning
            | Phase::AwaitingLive
            | Phase::Live
            | Phase::Interrupted
            | Phase::Stopping
            | Phase::Finalizing
            | Phase::Ended => {}
        }
        if self.page_is_fresh(now) {
            self.seller_read(step, now)?;
        }
        self.go_live_if_watchable(step, now)
    }

    /// Whether a reading is about this show. Between shows the platform may serve the last one at the URL of an ingest that
    /// the channel keeps: a manifest proves nothing then, a publisher or a new broadcast does.
    fn own_broadcast(&self, reading: FeedReading) -> FeedReading {
        let Some(kept) = &self.durable.ingest.kept else {
            return reading;
        };
        let not_ours = match &reading.session {
            Some(session) => kept.is_foreign(&session.id),
            None => reading.publishing.is_none(),
        };
        if not_ours {
            let publishing = reading.session.is_some().then_some(false);
            return FeedReading {
                publishing: publishing.or(reading.publishing),
                watchable: Some(false),
                session: None,
            };
        }
        reading
    }

    /// Decides where the platform serves the broadcast on without its publisher: neither of the two suffices.
    fn publisher_is_gone(&self) -> bool {
        let is_bad = self.volatile.last_egress.is_some_and(EgressReading::is_bad);
        self.volatile.feed.publisher_left && is_bad
    }

    fn knows(&self, session: &FeedSession) -> bool {
        let (sessions, recordings) = (&self.durable.sessions, &self.durable.recordings);
        let recording = session.recording_id.as_ref();
        let is_known = |id: &String| recordings.iter().any(|recording| recording.id == *id);
        sessions.contains(&session.id) && recording.is_none_or(is_known)
    }

    pub(super) fn ingest_missing(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if !self.durable.phase.is_watched() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        let since = self.start_of_streak(self.volatile.feed.missing_since, now);
        self.volatile.feed.missing_since = Some(since);
        self.volatile.feed.good = false;
        self.volatile.feed.last = Some("the platform does not know the ingest");
        if !self.is_confirmed(since, now) {
            self.volatile
                .feed_poll
                .bring_forward(now + self.durable.spec.timing.poll_interval);
            return Ok(());
        }
        let outcome = Outcome {
            code: OutcomeCode::IngestGone,
            detail: self.observations(now),
        };
        self.record(step, Fact::IngestGone, now)?;
        self.end(step, outcome, now)
    }

    fn bad_feed(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let since = self.start_of_streak(self.volatile.feed.bad_since, now);
        self.volatile.feed.bad_since = Some(since);
        if !self.is_confirmed(since, now) && !self.volatile.feed.reported_gone {
            self.volatile
                .feed_poll
                .bring_forward(now + self.durable.spec.timing.poll_interval);
            return Ok(());
        }
        self.volatile.feed.bad_since = None;
        self.volatile.feed.reported_gone = false;
        self.volatile.egress_poll.bring_forward(now);
        self.record(step, Fact::FeedLost { since }, now)?;
        self.poll_again_soon(now);
        Ok(())
    }

    /// Whether a `poll_interval` has passed, with a tolerance for timers.
    fn is_confirmed(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        since + self.durable.spec.timing.poll_interval * 4 / 5 <= now
    }

    /// The first of consecutive readings. A gap of three intervals starts anew: failed polls are no readings.
    fn start_of_streak(&self, first: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        let timing = &self.durable.spec.timing;
        let silence = timing.poll_interval.max(timing.live_check_interval) * 3;
        first.filter(|first| *first + silence > now).unwrap_or(now)
    }

    fn poll_again_soon(&mut self, now: DateTime<Utc>) {
        let soon = now + self.durable.spec.timing.poll_interval;
        self.volatile.feed_poll.bring_forward(soon);
        self.volatile.hosts_poll.bring_forward(soon);
    }

    pub(super) fn hosts_read(
        &mut self,
        step: &mut Step,
        present: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.seller.reports.hosts(present, now);
        self.seller_read(step, now)?;
        self.go_live_if_watchable(step, now)
    }

    pub(super) fn page(
        &mut self,
        step: &mut Step,
        attempt: u32,
        report: PageReport,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let current = self
            .durable
            .open_egress()
            .is_some_and(|egress| egress.attempt == attempt);
        if !current || !self.durable.phase.holds_slot() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        let (seq, present) = match report {
            PageReport::Seller { seq, present } => (seq, present),
            PageReport::CannotJoin(trouble) => return self.page_cannot_join(step, trouble, now),
        };
        if !self
            .volatile
            .seller
            .reports
            .page(attempt, seq, present, now)
        {
            step.ignored = Some(Ignored::Duplicate);
            return Ok(());
        }
        // A page that reports has joined.
        self.volatile
            .last_failure
            .take_if(|failure| failure.call == PAGE_JOIN);
        self.seller_read(step, now)?;
        self.go_live_if_watchable(step, now)
    }

    fn page_cannot_join(
        &mut self,
        step: &mut Step,
        trouble: PageTrouble,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.last_failure = Some(Failure {
            vendor: "agora".into(),
            call: PAGE_JOIN.into(),
            class: Class::Unavailable,
            maybe_done: false,
            status: None,
            message: trouble.describe().into(),
            retry_after_ms: None,
        });
        let last = self.volatile.page_trouble_at;
        if last.is_some_and(|at| now < at + PAGE_TROUBLE_INTERVAL) {
            step.ignored = Some(Ignored::Duplicate);
            return Ok(());
        }
        self.volatile.page_trouble_at = Some(now);
        let hint = Hint::PageCannotJoin { trouble };
        self.record(step, Fact::Notified { hint }, now)
    }

    fn seller_read(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match self.presence(now) {
            Presence::Present => {
                self.volatile.seller.away_since = None;
                self.volatile.seller.reported_left = false;
                if self.durable.seller_away_since.is_some() {
                    self.record(step, Fact::SellerBack, now)?;
                }
            }
            Presence::Absent
                if self.durable.phase.is_active() && self.durable.seller_away_since.is_none() =>
            {
                let since = self.start_of_streak(self.volatile.seller.away_since, now);
                self.volatile.seller.away_since = Some(since);
                if self.is_confirmed(since, now) || self.volatile.seller.reported_left {
                    self.volatile.seller.reported_left = false;
                    self.record(step, Fact::SellerAway { since }, now)?;
                }
                self.poll_again_soon(now);
            }
            Presence::Absent | Presence::Unknown => {}
        }
        Ok(())
    }

    /// Goes live if the feed streams, the manifest exists, and the seller is not known to be away.
    pub(super) fn go_live_if_watchable(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let playable = self.durable.phase == Phase::AwaitingLive && self.volatile.feed.good;
        let seller = match self.presence(now) {
            Presence::Present => true,
            Presence::Absent => false,
            Presence::Unknown => self.volatile.hosts_poll.in_flight.is_none(),
        };
        if playable && seller {
            self.volatile.feed.eager_until = None;
            self.volatile.feed.bad_since = None;
            self.volatile.seller.away_since = None;
            self.volatile.seller.reported_left = false;
            self.volatile.last_poll_until = None;
            self.record(step, Fact::Live, now)?;
            self.spread_first_live(now);
        }
        Ok(())
    }

    pub(super) fn egress_read(
        &mut self,
        step: &mut Step,
        reading: EgressReading,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.last_egress = Some(reading);
        let running = self
            .durable
            .egress
            .as_ref()
            .is_some_and(|egress| egress.stage == EgressStage::Running);
        if !running || !self.durable.phase.is_watched() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        if reading != EgressReading::NotFound {
            self.volatile.not_found_count = 0;
        }
        if self.durable.phase == Phase::Live && self.publisher_is_gone() {
            self.poll_again_soon(now);
        }
        match reading {
            EgressReading::Publishing => {
                self.volatile.updates = 0;
                self.volatile.feed.publisher_left = false;
            }
            EgressReading::Connecting => {}
            EgressReading::Disconnected => {
                let updates = self.durable.spec.egress.capabilities.updates;
                self.volatile.update_wanted = updates && self.volatile.updates < MAX_UPDATES;
            }
            EgressReading::Failed => {
                self.volatile.egress.reset();
                self.record(step, Fact::EgressRetiring, now)?;
            }
            EgressReading::Exited => self.egress_gone(step, "it exited", false, now)?,
            EgressReading::NotFound => match self.count_not_found(now) {
                Some(again) => self.volatile.egress_poll.due = Some(again),
                // While the feed goes on, something publishes: a lost egress matters only without a feed.
                None if self.durable.phase == Phase::Live => self.volatile.not_found_count = 0,
                None if self.durable.phase == Phase::Interrupted
                    && self.durable.feed_gone_since.is_none() =>
                {
                    self.volatile.not_found_count = 0;
                }
                // It may come back until a deadline, and could not be replaced safely.
                None if !self.durable.spec.capabilities.renews_key => {
                    self.volatile.not_found_count = 0;
                }
                None => {
                    self.egress_gone(step, "Agora answered 404 for the whole back-off", true, now)?;
                }
            },
        }
        Ok(())
    }

    pub(super) fn hint(
        &mut self,
        step: &mut Step,
        hint: Hint,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if let Hint::EgressNamed { tag, handle } = &hint
            && self.lacks_handle_of(tag)
        {
            return self.discovered(step, handle.clone(), now);
        }
        let is_of_use = if hint == Hint::RecordingDone {
            self.durable.phase == Phase::Finalizing
        } else {
            self.durable.phase.is_watched()
        };
        if !is_of_use {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        self.record(step, Fact::Notified { hint: hint.clone() }, now)?;
        match hint {
            Hint::FeedConnected => {
                self.volatile.feed.eager_until = Some(now + EAGER_PERIOD);
                self.volatile.feed.publisher_left = false;
                self.poll_on_hint(Lane::FeedPoll, now);
            }
            Hint::FeedDisconnected => {
                self.volatile.feed.reported_gone = true;
                self.volatile.feed.publisher_left = true;
                self.poll_on_hint(Lane::FeedPoll, now);
                self.poll_egress_on_hint(now);
            }
            Hint::FeedErrored { reason } => {
                self.volatile.feed.reported_error = Some(reason);
                self.poll_on_hint(Lane::FeedPoll, now);
            }
            Hint::SellerJoined => {
                self.volatile.seller.reports.doubt_page();
                self.poll_on_hint(Lane::HostsPoll, now);
            }
            Hint::SellerLeft => {
                self.volatile.seller.reported_left = true;
                self.volatile.seller.reports.doubt_page();
                self.poll_on_hint(Lane::HostsPoll, now);
            }
            Hint::EgressChanged | Hint::EgressNamed { .. } => {
                self.poll_egress_on_hint(now);
            }
            Hint::RecordingDone => self.poll_on_hint(Lane::RecordingsPoll, now),
            Hint::PageCannotJoin { .. } => {}
        }
        Ok(())
    }

    /// The back-off after a 404 keeps its times.
    fn poll_egress_on_hint(&mut self, now: DateTime<Utc>) {
        if self.volatile.not_found_count == 0 {
            self.poll_on_hint(Lane::EgressPoll, now);
        }
    }

    /// Whether this is the tag of the open egress, and its handle is unknown.
    fn lacks_handle_of(&self, tag: &str) -> bool {
        let unnamed = |egress: &&Egress| {
            egress.handle.is_none() && self.durable.spec.tag(egress.attempt).to_string() == tag
        };
        self.durable.open_egress().filter(unnamed).is_some()
    }

    /// The notification also answers a start in doubt.
    fn discovered(
        &mut self,
        step: &mut Step,
        handle: EgressHandle,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::EgressDiscovered { handle }, now)?;
        self.poll_on_hint(Lane::EgressPoll, now);
        Ok(())
    }
}
