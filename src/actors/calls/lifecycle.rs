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
pub(super) enum Source {
    /// `/lifecycle` of the customer host.
    Lifecycle,
    /// `GET live_inputs/{uid}`.
    Api,
}

/// What is thought of `/lifecycle`, by all relays together.
#[derive(Debug)]
pub(in crate::actors) struct LifecycleTrust {
    thought: Mutex<Thought>,
    /// How often it is tried again while it is not believed.
    try_again: Duration,
}

#[derive(Debug, Default)]
struct Thought {
    /// Odd answers since the last documented one.
    odd: u32,
    /// When it was last tried, while it is not believed.
    distrusted: Option<Instant>,
    /// What it last said, in words.
    said: String,
}

impl LifecycleTrust {
    /// It is believed. `poll_interval` is how often relays look.
    pub(super) fn new(poll_interval: Duration) -> Self {
        Self {
            thought: Mutex::default(),
            try_again: poll_interval * TRY_AGAIN,
        }
    }

    /// Whether it answers as documented, as far as is known.
    pub(in crate::actors) fn is_trusted(&self) -> bool {
        self.thought.lock().distrusted.is_none()
    }

    /// What it said when it was last odd, while it is not believed.
    pub(in crate::actors) fn complaint(&self) -> Option<String> {
        let thought = self.thought.lock();
        thought.distrusted.map(|_| thought.said.clone())
    }

    /// Who is to be asked now.
    pub(super) fn source(&self, now: Instant) -> Source {
        let mut thought = self.thought.lock();
        match thought.distrusted {
            Some(tried) if now.duration_since(tried) >= self.try_again => {
                thought.distrusted = Some(now);
                Source::Lifecycle
            }
            Some(_) => Source::Api,
            None if thought.odd >= ODD => Source::Api,
            None => Source::Lifecycle,
        }
    }

    /// It answered as documented.
    pub(super) fn documented(&self) {
        *self.thought.lock() = Thought::default();
    }

    /// It answered otherwise, or says that there is no such ingest.
    pub(super) fn odd(&self, said: &str) {
        let mut thought = self.thought.lock();
        thought.odd = thought.odd.saturating_add(1);
        said.clone_into(&mut thought.said);
    }

    /// The API knows the ingest: so it was the host.
    pub(super) fn api_knows(&self, now: Instant) {
        let mut thought = self.thought.lock();
        if thought.odd >= ODD && thought.distrusted.is_none() {
            thought.distrusted = Some(now);
            tracing::error!(
                said = thought.said,
                "/lifecycle does not answer as documented; the API is asked instead, as often as its budget allows"
            );
        }
    }

    /// The API does not know it either: the host was right to be odd.
    pub(super) fn api_does_not_know(&self) {
        self.thought.lock().odd = 0;
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
            assert_eq!(trust.source(now), Source::Lifecycle);
        }
        trust.odd("HTML");
        assert_eq!(trust.source(now), Source::Api);
        assert!(trust.is_trusted(), "not before the API was asked");
        trust.api_knows(now);
        assert_eq!(trust.complaint().as_deref(), Some("HTML"));
        assert_eq!(trust.source(now), Source::Api);
    }

    #[test]
    fn it_is_tried_again_now_and_then_and_believed_once_it_answers() {
        let (trust, now) = trust();
        for _ in 0..3 {
            trust.odd("HTML");
        }
        trust.api_knows(now);
        let later = now + Duration::from_secs(60);
        assert_eq!(trust.source(later), Source::Lifecycle);
        assert_eq!(trust.source(later), Source::Api, "one of all tries");
        trust.documented();
        assert!(trust.is_trusted());
        assert_eq!(trust.source(later), Source::Lifecycle);
    }

    #[test]
    fn an_ingest_that_is_gone_says_nothing_of_the_host() {
        let (trust, now) = trust();
        for _ in 0..3 {
            trust.odd("no such object");
        }
        assert_eq!(trust.source(now), Source::Api);
        trust.api_does_not_know();
        assert!(trust.is_trusted());
        assert_eq!(trust.source(now), Source::Lifecycle);
    }

    #[test]
    fn a_documented_answer_between_odd_ones_starts_the_count_anew() {
        let (trust, now) = trust();
        for _ in 0..5 {
            trust.odd("HTML");
            trust.odd("HTML");
            trust.documented();
        }
        assert_eq!(trust.source(now), Source::Lifecycle);
    }
}
