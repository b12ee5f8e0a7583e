//! Whose a recording of an ingest is that several shows used.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// How far the platform's clock may be behind ours.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// A relay's use of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestUse {
    /// The relay.
    pub relay: Uuid,
    /// When it got the ingest.
    pub claimed_at: DateTime<Utc>,
    /// When the first broadcast that it saw began, if the platform tells: by the platform's clock, as recordings are.
    pub began_at: Option<DateTime<Utc>>,
    /// The broadcasts and recordings that it saw.
    pub known: Vec<String>,
}

impl IngestUse {
    /// Whether a recording may be its own that began then. Before it had the ingest one can only seem to begin, by a clock that
    /// is behind, and then it saw a broadcast, which began no later.
    fn may_have_begun(&self, created_at: DateTime<Utc>) -> bool {
        let saw_its_broadcast =
            !self.known.is_empty() && self.began_at.is_none_or(|began_at| began_at <= created_at);
        self.claimed_at <= created_at
            || saw_its_broadcast && self.claimed_at - CLOCK_TOLERANCE <= created_at
    }
}

/// The relay whose recording this is: the one that saw it, else the last that had the ingest when the recording began.
/// `None`: no relay of these.
#[must_use]
pub fn user_of(
    recording: &str,
    created_at: Option<DateTime<Utc>>,
    uses: &[IngestUse],
) -> Option<Uuid> {
    let saw = |one: &&IngestUse| one.known.iter().any(|known| known == recording);
    if let Some(saw) = uses.iter().find(saw) {
        return Some(saw.relay);
    }
    let Some(created_at) = created_at else {
        return match uses {
            [only] => Some(only.relay),
            _ => None,
        };
    };
    uses.iter()
        .filter(|one| one.may_have_begun(created_at))
        .max_by_key(|one| one.claimed_at)
        .map(|one| one.relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn uses() -> [IngestUse; 2] {
        let one = |relay, claimed_at, known: &[&str]| IngestUse {
            relay: Uuid::from_u128(relay),
            claimed_at: at(claimed_at),
            began_at: None,
            known: known.iter().map(|&known| known.to_owned()).collect(),
        };
        [one(1, 100, &["a"]), one(2, 200, &["b"])]
    }

    fn user(recording: &str, created_at: Option<i64>) -> Option<u128> {
        user_of(recording, created_at.map(at), &uses()).map(|relay| relay.as_u128())
    }

    #[test]
    fn who_saw_a_recording_has_it_whatever_the_clocks_say() {
        assert_eq!(user("a", Some(300)), Some(1));
        assert_eq!(user("b", Some(110)), Some(2));
        assert_eq!(user("b", None), Some(2));
    }

    #[test]
    fn an_unseen_recording_is_of_the_last_relay_that_had_the_ingest_when_it_began() {
        assert_eq!(user("c", Some(110)), Some(1));
        assert_eq!(user("c", Some(197)), Some(1));
        assert_eq!(user("c", Some(198)), Some(2), "a clock that is behind");
        assert_eq!(user("c", Some(900)), Some(2));
    }

    /// A show that ended at once, and another behind it: the next relay's own begin is told by the same clock.
    #[test]
    fn a_recording_that_began_before_the_next_relays_broadcast_is_not_the_next_relays() {
        let user = |next: IngestUse, created_at| {
            let [first, _] = uses();
            user_of("c", Some(at(created_at)), &[first, next]).map(|relay| relay.as_u128())
        };
        let [_, next] = uses();
        let began = |began_at| IngestUse {
            began_at: Some(at(began_at)),
            ..next.clone()
        };
        assert_eq!(user(began(201), 199), Some(1));
        assert_eq!(user(began(199), 199), Some(2), "a clock that is behind");
        assert_eq!(user(began(199), 198), Some(1));
        assert_eq!(user(began(205), 201), Some(2), "a broadcast that it missed");
        let unseen = IngestUse {
            known: Vec::new(),
            ..next.clone()
        };
        assert_eq!(user(unseen.clone(), 199), Some(1), "it saw no broadcast");
        assert_eq!(user(unseen, 200), Some(2));
    }

    #[test]
    fn a_recording_from_before_belongs_to_no_relay() {
        assert_eq!(user("c", Some(97)), None);
    }

    #[test]
    fn without_a_time_only_a_single_use_decides() {
        assert_eq!(user("c", None), None);
        let [only, _] = uses();
        assert_eq!(user_of("c", None, &[only]), Some(Uuid::from_u128(1)));
    }
}
