//! Counts the relays that poll, by what they poll.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::RelaySnapshot;
use crate::relay::{BackendName, Phase, PlatformName};

#[derive(Debug, Clone, PartialEq, Eq)]
struct PollKinds {
    platform: PlatformName,
    is_live: bool,
    asks_hosts: bool,
    egress: BackendName,
}

impl PollKinds {
    fn of(snapshot: &RelaySnapshot) -> Option<Self> {
        let durable = &snapshot.durable;
        durable.phase.is_watched().then(|| Self {
            platform: durable.spec.platform.clone(),
            is_live: durable.phase == Phase::Live,
            asks_hosts: !snapshot.page_is_fresh,
            egress: durable.spec.egress.backend.name.clone(),
        })
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::actors) struct Pollers {
    pub(in crate::actors) live: u32,
    /// Not yet live, or interrupted.
    pub(in crate::actors) urgent: u32,
}

impl Pollers {
    fn count(&mut self, is_live: bool, by: i8) {
        let number = if is_live {
            &mut self.live
        } else {
            &mut self.urgent
        };
        *number = number.saturating_add_signed(i32::from(by));
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::actors) struct CountsByTarget {
    pub(in crate::actors) feeds: Pollers,
    pub(in crate::actors) hosts: Pollers,
    /// Of one backend.
    pub(in crate::actors) egresses: Pollers,
}

#[derive(Debug, Default)]
struct Counts {
    feeds: HashMap<PlatformName, Pollers>,
    hosts: Pollers,
    egresses: HashMap<BackendName, Pollers>,
}

#[derive(Debug, Default)]
pub(super) struct PollerCounts(Mutex<Counts>);

impl PollerCounts {
    pub(super) fn changed(&self, before: Option<&RelaySnapshot>, now: Option<&RelaySnapshot>) {
        let (before, now) = (before.and_then(PollKinds::of), now.and_then(PollKinds::of));
        if before == now {
            return;
        }
        let mut counts = self.0.lock();
        for (polls, by) in [(before, -1), (now, 1)] {
            let Some(polls) = polls else { continue };
            let feeds = counts.feeds.entry(polls.platform).or_default();
            feeds.count(polls.is_live, by);
            if polls.asks_hosts {
                counts.hosts.count(polls.is_live, by);
            }
            let egresses = counts.egresses.entry(polls.egress).or_default();
            egresses.count(polls.is_live, by);
        }
    }

    /// `platform`: whose feeds are counted. `backend`: whose egresses.
    pub(super) fn get(&self, platform: &PlatformName, backend: &BackendName) -> CountsByTarget {
        let counts = self.0.lock();
        CountsByTarget {
            feeds: counts.feeds.get(platform).copied().unwrap_or_default(),
            hosts: counts.hosts,
            egresses: counts.egresses.get(backend).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::view::fixture::{live, snapshot};

    #[test]
    fn a_relay_counts_from_when_it_is_watched_until_it_is_not() {
        let platform = live().spec.platform;
        let poller_counts = PollerCounts::default();
        let counts = || poller_counts.get(&platform, &BackendName::new("cloud_recording"));
        let on_air = snapshot(live());
        let mut stopping = live();
        stopping.phase = Phase::Stopping;
        let stopping = snapshot(stopping);
        let mut interrupted = live();
        interrupted.phase = Phase::Interrupted;
        let interrupted = snapshot(interrupted);
        poller_counts.changed(None, Some(&on_air));
        assert_eq!(counts().feeds, Pollers { live: 1, urgent: 0 });
        assert_eq!(counts().egresses.live, 1);
        let other = poller_counts.get(&platform, &BackendName::new("media_push"));
        assert_eq!(other.egresses, Pollers::default());
        poller_counts.changed(Some(&on_air), Some(&interrupted));
        assert_eq!(counts().feeds, Pollers { live: 0, urgent: 1 });
        poller_counts.changed(Some(&interrupted), Some(&stopping));
        poller_counts.changed(Some(&stopping), None);
        assert_eq!(counts(), CountsByTarget::default());
    }
}
