//! Decides whether `/lifecycle` is trusted. It costs no API budget but is not versioned: after undocumented answers feeds are
//! polled through the API, and an alarm is raised.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Consecutive odd answers, over all relays, before the API is asked who is right.
const ODD: u32 = 3;
/// The interval between tries while not trusted, in poll intervals.
const TRY_AGAIN: u32 = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedSource {
    /// `/lifecycle` of the customer host.
    Lifecycle,
    /// `GET live_inputs/{uid}`.
    Api,
}

#[derive(Debug)]
pub(super) struct LifecycleTrust {
    state: Mutex<TrustState>,
    try_again: Duration,
}

#[derive(Debug, Default)]
struct TrustState {
    odd: u32,
    /// The time of the last try; `Some` while not trusted.
    distrusted: Option<Instant>,
    complaint: String,
}

impl LifecycleTrust {
    pub(super) fn new(poll_interval: Duration) -> Self {
        Self {
            state: Mutex::default(),
            try_again: poll_interval * TRY_AGAIN,
        }
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.state.lock().distrusted.is_none()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        let state = self.state.lock();
        state.distrusted.map(|_| state.complaint.clone())
    }

    pub(super) fn source(&self, now: Instant) -> FeedSource {
        let mut state = self.state.lock();
        match state.distrusted {
            Some(tried) if now.duration_since(tried) >= self.try_again => {
                state.distrusted = Some(now);
                FeedSource::Lifecycle
            }
            Some(_) => FeedSource::Api,
            None if state.odd >= ODD => FeedSource::Api,
            None => FeedSource::Lifecycle,
        }
    }

    pub(super) fn documented(&self) {
        *self.state.lock() = TrustState::default();
    }

    /// The answer is undocumented, or says that the ingest does not exist.
    pub(super) fn odd(&self, complaint: &str) {
        let mut state = self.state.lock();
        state.odd = state.odd.saturating_add(1);
        complaint.clone_into(&mut state.complaint);
    }

    /// The API knows the ingest: the odd answers were the host's fault.
    pub(super) fn api_knows(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.odd >= ODD && state.distrusted.is_none() {
            state.distrusted = Some(now);
            tracing::error!(
                complaint = state.complaint,
                "/lifecycle does not answer as documented; polling feeds through the API within its budget"
            );
        }
    }

    /// The API does not know the ingest either: the host was right.
    pub(super) fn api_does_not_know(&self) {
        self.state.lock().odd = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> (LifecycleTrust, Instant) {
        (LifecycleTrust::new(Duration::from_secs(5)), Instant::now())
    }

    #[test]
    fn it_is_not_trusted_after_three_odd_answers_if_the_api_knows_the_ingest() {
        let (trust, now) = trust();
        for _ in 0..2 {
            trust.odd("HTML");
            assert_eq!(trust.source(now), FeedSource::Lifecycle);
        }
        trust.odd("HTML");
        assert_eq!(trust.source(now), FeedSource::Api);
        assert!(trust.is_trusted(), "not before the API was asked");
        trust.api_knows(now);
        assert_eq!(trust.complaint().as_deref(), Some("HTML"));
        assert_eq!(trust.source(now), FeedSource::Api);
    }

    #[test]
    fn it_is_tried_again_regularly_and_trusted_once_it_answers() {
        let (trust, now) = trust();
        for _ in 0..3 {
            trust.odd("HTML");
        }
        trust.api_knows(now);
        let later = now + Duration::from_secs(60);
        assert_eq!(trust.source(later), FeedSource::Lifecycle);
        assert_eq!(trust.source(later), FeedSource::Api, "one poll tries it");
        trust.documented();
        assert!(trust.is_trusted());
        assert_eq!(trust.source(later), FeedSource::Lifecycle);
    }

    #[test]
    fn an_ingest_that_is_gone_does_not_make_the_host_untrusted() {
        let (trust, now) = trust();
        for _ in 0..3 {
            trust.odd("no such object");
        }
        assert_eq!(trust.source(now), FeedSource::Api);
        trust.api_does_not_know();
        assert!(trust.is_trusted());
        assert_eq!(trust.source(now), FeedSource::Lifecycle);
    }

    #[test]
    fn a_documented_answer_between_odd_ones_starts_the_count_anew() {
        let (trust, now) = trust();
        for _ in 0..5 {
            trust.odd("HTML");
            trust.odd("HTML");
            trust.documented();
        }
        assert_eq!(trust.source(now), FeedSource::Lifecycle);
    }
}
