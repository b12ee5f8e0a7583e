//! The seller's presence. The feed cannot tell it: the egress pushes a page or a canvas in either case.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Whether the seller is in the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Presence {
    Present,
    Absent,
    /// No valid report: the feed alone decides.
    Unknown,
}

/// How long a page's report is valid. Its heartbeat is 30 s.
const PAGE_FRESH: Duration = Duration::from_secs(45);

#[derive(Debug, Clone, Default)]
pub(super) struct PresenceReports {
    page: Option<(DateTime<Utc>, bool)>,
    page_seq: Option<(u32, u64)>,
    hosts: Option<(DateTime<Utc>, bool)>,
    hosts_fresh: Duration,
}

impl PresenceReports {
    pub(super) fn new(longest_interval: Duration) -> Self {
        Self {
            hosts_fresh: longest_interval * 3 + Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// Takes a report of the page of egress `attempt`. Returns false if it is stale.
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

    pub(super) fn hosts(&mut self, present: bool, now: DateTime<Utc>) {
        self.hosts = Some((now, present));
    }

    /// Drops the page's report because a hint contradicts it, so that the hosts are polled.
    pub(super) fn doubt_page(&mut self) {
        self.page = None;
    }

    /// Until then no poll of the hosts is needed.
    pub(super) fn page_valid_until(&self) -> Option<DateTime<Utc>> {
        self.page.map(|(at, _)| at + PAGE_FRESH)
    }

    /// The page's report decides while it is valid, then the hosts'.
    pub(super) fn now(&self, now: DateTime<Utc>) -> Presence {
        let fresh = |report: Option<(DateTime<Utc>, bool)>, valid_for: Duration| {
            report.filter(|(at, _)| {
                now - *at < chrono::TimeDelta::from_std(valid_for).unwrap_or_default()
            })
        };
        match fresh(self.page, PAGE_FRESH).or_else(|| fresh(self.hosts, self.hosts_fresh)) {
            Some((_, true)) => Presence::Present,
            Some((_, false)) => Presence::Absent,
            None => Presence::Unknown,
        }
    }
}
