//! Whether `/lifecycle` can be believed. It is documented, but not versioned, and costs no budget of the API's: should it
//! ever answer otherwise than documented, the API is asked instead, within its budget, and a person is told.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many odd answers in a row, whichever relay asked, and the API is asked whether it is the host's fault.
const ODD: u32 = 3;
/// After so many of the intervals at which relays look it is tried again, while it is not believed.
const TRY_AGAIN: u32 = 12;

/// Who is asked whether an ingest streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedSource {
    /// `/lifecycle` of the customer host.
    Lifecycle,
    /// `GET live_inputs/{uid}`.
    Api,
}

/// What is known of `/lifecycle`, by all relays together.
#[derive(Debug)]
pub(in crate::actors) struct LifecycleTrust {
    state: Mutex<TrustState>,
    /// How often it is tried again while it is not believed.
    try_again: Duration,
}

#[derive(Debug, Default)]
struct TrustState {
    /// Odd answers since the last documented one.
    odd: u32,
    /// When it was last tried, while it is not believed.
    distrusted: Option<Instant>,
    /// What it last said, in words.
    complaint: String,
}

impl LifecycleTrust {
    /// It is believed. `poll_interval` is how often relays look.
    pub(super) fn new(poll_interval: Duration) -> Self {
        Self {
            state: Mutex::default(),
            try_again: poll_interval * TRY_AGAIN,
        }
    }

    /// Whether it answers as documented, as far as is known.
    pub(in crate::actors) fn is_trusted(&self) -> bool {
        self.state.lock().distrusted.is_none()
    }

    /// What it said when it was last odd, while it is not believed.
    pub(in crate::actors) fn complaint(&self) -> Option<String> {
        let state = self.state.lock();
        state.distrusted.map(|_| state.complaint.clone())
    }

    /// Who is to be asked now.
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

    /// It answered as documented.
    pub(super) fn documented(&self) {
        *self.state.lock() = TrustState::default();
    }

    /// It answered otherwise, or says that there is no such ingest.
    pub(super) fn odd(&self, complaint: &str) {
        let mut state = self.state.lock();
        state.odd = state.odd.saturating_add(1);
        complaint.clone_into(&mut state.complaint);
    }

    /// The API knows the ingest: so it was the host.
    pub(super) fn api_knows(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.odd >= ODD && state.distrusted.is_none() {
            state.distrusted = Some(now);
            tracing::error!(
                complaint = state.complaint,
                "/lifecycle does not answer as documented; the API is asked instead, as often as its budget allows"
            );
        }
    }

    /// The API does not know it either: the host was right to be odd.
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
    fn it_is_not_believed_after_three_odd_answers_if_the_api_knows_better() {
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
    fn it_is_tried_again_now_and_then_and_believed_once_it_answers() {
        let (trust, now) = trust();
        for _ in 0..3 {
            trust.odd("HTML");
        }
        trust.api_knows(now);
        let later = now + Duration::from_secs(60);
        assert_eq!(trust.source(later), FeedSource::Lifecycle);
        assert_eq!(trust.source(later), FeedSource::Api, "one of all tries");
        trust.documented();
        assert!(trust.is_trusted());
        assert_eq!(trust.source(later), FeedSource::Lifecycle);
    }

    #[test]
    fn an_ingest_that_is_gone_says_nothing_of_the_host() {
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
