//! Which channel has a show when, and how it goes.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// By the wall clock. In less, hardly a show would go live.
const SHORTEST_SLOT: Duration = Duration::from_secs(90);
/// The shortest limit a start may ask for (`max_duration_seconds`).
pub(super) const SHORTEST_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Live, then stopped.
    Plain,
    /// The seller is away for a moment.
    Interrupted,
    Unrecorded,
    /// The seller leaves for good.
    Left,
    /// The seller never comes.
    Missing,
    /// Stopped as soon as it was started.
    Cancelled,
    /// Started with a time limit, which a long slot outlasts.
    Limited,
}

#[derive(Debug, Clone)]
pub(super) struct Show {
    pub(super) number: u32,
    pub(super) scenario: Scenario,
    /// Its channel keeps the ingest.
    pub(super) keeps: bool,
    /// Since the start of the run.
    pub(super) begins: Duration,
    pub(super) ends: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: u64,
    pub(super) shows: Vec<Show>,
}

/// Spreads `shows` over `duration` (by the wall clock), on as many channels as that takes.
pub(super) fn plan(shows: u32, duration: Duration, rng: &mut StdRng) -> Vec<Channel> {
    let slots = (duration.as_secs() / SHORTEST_SLOT.as_secs()).clamp(1, u64::from(shows));
    let slots = u32::try_from(slots).unwrap_or(1);
    let slot = duration / slots;
    let mut channels: Vec<Channel> = Vec::new();
    for number in 0..shows {
        let place = number % slots;
        if place == 0 {
            let id = 1 + u64::from(number / slots);
            let shows = Vec::new();
            channels.push(Channel { id, shows });
        }
        let begins = slot * place + slot.mul_f64(rng.random_range(0.0..0.3));
        let ends = slot * place + slot.mul_f64(rng.random_range(0.6..0.95));
        let (scenario, keeps) = (scenario(rng), rng.random_bool(0.5));
        if let Some(channel) = channels.last_mut() {
            channel.shows.push(Show {
                number,
                scenario,
                keeps,
                begins,
                ends,
            });
        }
    }
    channels
}

fn scenario(rng: &mut StdRng) -> Scenario {
    match rng.random_range(0..100) {
        0..40 => Scenario::Plain,
        40..60 => Scenario::Interrupted,
        60..70 => Scenario::Unrecorded,
        70..82 => Scenario::Left,
        82..88 => Scenario::Missing,
        88..94 => Scenario::Cancelled,
        _ => Scenario::Limited,
    }
}

mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn shows_of_a_channel_do_not_overlap() {
        let lasts = Duration::from_secs(864);
        let channels = plan(500, lasts, &mut StdRng::seed_from_u64(7));
        assert_eq!(
            channels
                .iter()
                .map(|channel| channel.shows.len())
                .sum::<usize>(),
            500
        );
        for channel in &channels {
            for show in &channel.shows {
                assert!(show.begins < show.ends && show.ends <= lasts, "{show:?}");
            }
            for (before, after) in channel.shows.iter().zip(channel.shows.iter().skip(1)) {
                assert!(before.ends < after.begins, "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn a_run_shorter_than_a_slot_has_one_channel_per_show() {
        let channels = plan(12, Duration::from_secs(15), &mut StdRng::seed_from_u64(7));
        assert_eq!(channels.len(), 12);
    }
}
