//! Is the seller there? An observation of its own, beside the feed: a page or a canvas is pushed whether they are or not.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// What is known of the seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Presence {
    /// In the channel.
    Present,
    /// Not in the channel.
    Absent,
    /// No source speaks: the feed alone decides.
    Unknown,
}

/// How long the page's word holds: its heartbeat is 30 s.
const PAGE_FRESH: Duration = Duration::from_secs(45);

/// What the sources last said.
#[derive(Debug, Clone, Default)]
pub(super) struct PresenceBook {
    page: Option<(DateTime<Utc>, bool)>,
    page_seq: Option<(u32, u64)>,
    hosts: Option<(DateTime<Utc>, bool)>,
    hosts_fresh: Duration,
}

impl PresenceBook {
    /// How long a look at the hosts holds: longer than the interval between two.
    pub(super) fn new(longest_interval: Duration) -> Self {
        Self {
            hosts_fresh: longest_interval * 3 + Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// The page of egress `attempt` spoke. False when it is an old word of its.
    pub(super) fn page(
        &mut self,
        attempt: u32,
        seq: u64,
        present: bool,
        now: DateTime<Utc>,
    ) -> bool {
        if self.page_seq.is_some_and(|known| known >= (attempt, seq)) {
            return false;
        }
        self.page_seq = Some((attempt, seq));
        self.page = Some((now, present));
        true
    }

    /// A look at the channel's hosts was answered.
    pub(super) fn hosts(&mut self, present: bool, now: DateTime<Utc>) {
        self.hosts = Some((now, present));
    }

    /// Somebody who should know contradicts the page: ask the hosts.
    pub(super) fn doubt_page(&mut self) {
        self.page = None;
    }

    /// Until when the page's word makes a look at the hosts needless.
    pub(super) fn page_holds_until(&self) -> Option<DateTime<Utc>> {
        self.page.map(|(at, _)| at + PAGE_FRESH)
    }

    /// What is known now: the best source that still speaks.
    pub(super) fn now(&self, now: DateTime<Utc>) -> Presence {
        let fresh = |word: Option<(DateTime<Utc>, bool)>, holds: Duration| {
            word.filter(|(at, _)| {
                now - *at < chrono::TimeDelta::from_std(holds).unwrap_or_default()
            })
        };
        match fresh(self.page, PAGE_FRESH).or_else(|| fresh(self.hosts, self.hosts_fresh)) {
            Some((_, true)) => Presence::Present,
            Some((_, false)) => Presence::Absent,
            None => Presence::Unknown,
        }
    }
}
