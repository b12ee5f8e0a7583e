//! Watching: what readings of the feed, the egress and the seller mean. One bad reading decides nothing, an error is
//! no reading, and a vendor's notification counts for one of two.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{EgressReading, FeedReading, Hint, PageReport, PageTrouble};
use super::fact::Fact;
use super::failure::{Class, Failure};
use super::outcome::{Outcome, OutcomeCode};
use super::phase::{IllegalTransition, Phase};
use super::state::{Egress, EgressStage};
use super::step::{Ignored, Step};
use super::volatile::Kind;
use super::{Presence, Relay};

/// How long a relay looks often after a notification that an encoder connected.
const EAGER: TimeDelta = TimeDelta::seconds(15);
/// A page that cannot join says so again and again: the journal keeps one report in this time.
const TROUBLE_AGAIN: TimeDelta = TimeDelta::seconds(60);
/// What a page that cannot join failed at.
const PAGE_JOIN: &str = "recorder_page.join";
/// How often an egress whose output is cut is told its target again.
const UPDATES: u32 = 3;

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
        if let Some(uid) = reading.recording_uid
            && !self
                .durable
                .recordings
                .iter()
                .any(|recording| recording.uid == uid)
        {
            self.record(step, Fact::RecordingSeen { uid }, now)?;
        }
        let playable = reading.playable.unwrap_or(true);
        self.volatile.watch.missing_since = None;
        self.volatile.watch.good = reading.live && playable;
        self.volatile.watch.last = Some(match (reading.live, playable) {
            (true, true) => "streaming",
            (true, false) => "streaming, but not yet playable",
            (false, _) => "not streaming",
        });
        if reading.live {
            self.volatile.watch.told_errored = None;
        } else if let Some(reason) = self.volatile.watch.told_errored.clone() {
            let mut outcome = Outcome::plain(OutcomeCode::IngestErrored);
            outcome.detail = self.what_was_seen(now);
            outcome.detail.feed = Some(reason);
            return self.end(step, outcome, now);
        }
        if reading.live {
            self.volatile.watch.bad_since = None;
            self.volatile.watch.told_gone = false;
        }
        match self.durable.phase {
            Phase::Live if !reading.live => self.bad_feed(step, now)?,
            Phase::Interrupted
                if self.volatile.watch.good && self.durable.feed_gone_since.is_some() =>
            {
                self.record(step, Fact::FeedRestored, now)?;
            }
            Phase::Interrupted if !reading.live && self.durable.feed_gone_since.is_none() => {
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
        if self.page_speaks(now) {
            self.seller_read(step, now)?;
        }
        self.may_be_live(step, now)
    }

    /// Cloudflare's API does not know the ingest. The first such answer asks for a second, the second decides: nobody can
    /// publish any more, and nobody can watch.
    pub(super) fn ingest_missing(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        if !self.durable.phase.is_watched() {
            step.ignored = Some(Ignored::Inapplicable);
            return Ok(());
        }
        let since = self.first_of_row(self.volatile.watch.missing_since, now);
        self.volatile.watch.missing_since = Some(since);
        self.volatile.watch.good = false;
        self.volatile.watch.last = Some("Cloudflare does not know the ingest");
        if !self.is_second(since, now) {
            self.volatile
                .feed
                .hasten(now + self.durable.spec.timing.poll_interval);
            return Ok(());
        }
        let outcome = Outcome {
            code: OutcomeCode::IngestGone,
            detail: self.what_was_seen(now),
        };
        self.record(step, Fact::IngestGone, now)?;
        self.end(step, outcome, now)
    }

    /// A reading without a feed: the first asks for a second, the second (or the first after a notification) decides.
    fn bad_feed(&mut self, step: &mut Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let since = self.first_of_row(self.volatile.watch.bad_since, now);
        self.volatile.watch.bad_since = Some(since);
        if !self.is_second(since, now) && !self.volatile.watch.told_gone {
            self.volatile
                .feed
                .hasten(now + self.durable.spec.timing.poll_interval);
            return Ok(());
        }
        self.volatile.watch.bad_since = None;
        self.volatile.watch.told_gone = false;
        self.volatile.health.hasten(now);
        self.record(step, Fact::FeedLost { since }, now)?;
        self.poll_again_soon(now);
        Ok(())
    }

    /// Whether a reading now is the second after one at `since`: a `poll_interval` apart, less what timers are off.
    fn is_second(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        since + self.durable.spec.timing.poll_interval * 4 / 5 <= now
    }

    /// The first of the bad readings in a row, of which the last is now: after a silence of three looks (errors are no
    /// readings) a row begins anew.
    fn first_of_row(&self, first: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        let timing = &self.durable.spec.timing;
        let silence = timing.poll_interval.max(timing.live_check_interval) * 3;
        first.filter(|first| *first + silence > now).unwrap_or(now)
    }

    /// Once interrupted, looks come at `poll_interval`.
    fn poll_again_soon(&mut self, now: DateTime<Utc>) {
        let soon = now + self.durable.spec.timing.poll_interval;
        self.volatile.feed.hasten(soon);
        self.volatile.hosts.hasten(soon);
    }

    pub(super) fn hosts_read(
        &mut self,
        step: &mut Step,
        present: bool,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.volatile.seller.book.hosts(present, now);
        self.seller_read(step, now)?;
        self.may_be_live(step, now)
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
            PageReport::CannotJoin(trouble) => return self.page_in_trouble(step, trouble, now),
        };
        if !self.volatile.seller.book.page(attempt, seq, present, now) {
            step.ignored = Some(Ignored::Duplicate);
            return Ok(());
        }
        // A page that reports has joined.
        self.volatile
            .last_failure
            .take_if(|failure| failure.call == PAGE_JOIN);
        self.seller_read(step, now)?;
        self.may_be_live(step, now)
    }

    /// The page shows nothing: kept for people, in the journal and as the last error.
    fn page_in_trouble(
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
            message: trouble.words().into(),
            retry_after_ms: None,
        });
        let last = self.volatile.page_trouble_at;
        if last.is_some_and(|at| now < at + TROUBLE_AGAIN) {
            step.ignored = Some(Ignored::Duplicate);
            return Ok(());
        }
        self.volatile.page_trouble_at = Some(now);
        let hint = Hint::PageCannotJoin { trouble };
        self.record(step, Fact::Notified { hint }, now)
    }

    /// A new word on the seller came in.
    fn seller_read(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        match self.presence(now) {
            Presence::Present => {
                self.volatile.seller.away_since = None;
                self.volatile.seller.told_left = false;
                if self.durable.seller_away_since.is_some() {
                    self.record(step, Fact::SellerBack, now)?;
                }
            }
            Presence::Absent
                if self.durable.phase.is_active() && self.durable.seller_away_since.is_none() =>
            {
                let since = self.first_of_row(self.volatile.seller.away_since, now);
                self.volatile.seller.away_since = Some(since);
                if self.is_second(since, now) || self.volatile.seller.told_left {
                    self.volatile.seller.told_left = false;
                    self.record(step, Fact::SellerAway { since }, now)?;
                }
                self.poll_again_soon(now);
            }
            Presence::Absent | Presence::Unknown => {}
        }
        Ok(())
    }

    /// Live means that a buyer can press play: it streams, the manifest is there, and the seller is not known to be away.
    pub(super) fn may_be_live(
        &mut self,
        step: &mut Step,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let playable = self.durable.phase == Phase::AwaitingLive && self.volatile.watch.good;
        let seller = match self.presence(now) {
            Presence::Present => true,
            Presence::Absent => false,
            Presence::Unknown => self.volatile.hosts.flight.is_none(),
        };
        if playable && seller {
            self.volatile.watch.eager_until = None;
            self.volatile.watch.bad_since = None;
            self.volatile.seller.away_since = None;
            self.volatile.seller.told_left = false;
            self.volatile.last_poll_until = None;
            self.record(step, Fact::Live, now)?;
            self.space_out_first(now);
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
            self.volatile.misses = 0;
        }
        match reading {
            EgressReading::Publishing => self.volatile.updates = 0,
            EgressReading::Connecting => {}
            EgressReading::Disconnected => {
                self.volatile.update_wanted =
                    self.is_cloud_recording() && self.volatile.updates < UPDATES;
            }
            EgressReading::Failed => {
                self.volatile.egress.rest();
                self.record(step, Fact::EgressRetiring, now)?;
            }
            EgressReading::Exited => self.egress_gone(step, "it has exited", false, now)?,
            EgressReading::NotFound => match self.missed(now) {
                Some(again) => self.volatile.health.due = Some(again),
                // While the feed goes on somebody publishes: only when it is gone does an egress nobody knows matter.
                None if self.durable.phase == Phase::Live => self.volatile.misses = 0,
                None if self.durable.phase == Phase::Interrupted
                    && self.durable.feed_gone_since.is_none() =>
                {
                    self.volatile.misses = 0;
                }
                None => {
                    self.egress_gone(
                        step,
                        "Agora did not know it for the whole back-off",
                        true,
                        now,
                    )?;
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
        if let Hint::EgressChanged { cname, sid } = &hint
            && self.learns_sid(cname)
        {
            return self.learn(step, sid.clone(), now);
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
                self.volatile.watch.eager_until = Some(now + EAGER);
                self.hint_hastens(Kind::Feed, now);
            }
            Hint::FeedDisconnected => {
                self.volatile.watch.told_gone = true;
                self.hint_hastens(Kind::Feed, now);
            }
            Hint::FeedErrored { reason } => {
                self.volatile.watch.told_errored = Some(reason);
                self.hint_hastens(Kind::Feed, now);
            }
            Hint::SellerJoined => {
                self.volatile.seller.book.doubt_page();
                self.hint_hastens(Kind::Hosts, now);
            }
            Hint::SellerLeft => {
                self.volatile.seller.told_left = true;
                self.volatile.seller.book.doubt_page();
                self.hint_hastens(Kind::Hosts, now);
            }
            Hint::EgressChanged { .. } | Hint::ConverterChanged => {
                // Inside the back-off after a 404 the next poll keeps its time.
                if self.volatile.misses == 0 {
                    self.hint_hastens(Kind::Health, now);
                }
            }
            Hint::RecordingDone => self.hint_hastens(Kind::Recordings, now),
            Hint::PageCannotJoin { .. } => {}
        }
        Ok(())
    }

    /// Whether the egress under this label runs, or may run, and we do not know its session.
    fn learns_sid(&self, cname: &str) -> bool {
        let nameless = |egress: &&Egress| {
            egress.sid.is_none() && self.durable.spec.tag(egress.attempt).to_string() == cname
        };
        self.is_cloud_recording() && self.durable.open_egress().filter(nameless).is_some()
    }

    /// A notification of this relay's own (cname, uid) named the session: with a start in doubt, that is its answer.
    fn learn(
        &mut self,
        step: &mut Step,
        sid: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        self.record(step, Fact::EgressDiscovered { sid }, now)?;
        self.hint_hastens(Kind::Health, now);
        Ok(())
    }
}
