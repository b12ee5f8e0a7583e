//! The day's programme: which channel shows what, when, and how each show comes to its end.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What a channel's slot takes by the wall clock, at least: less, and hardly a show would go live.
const SHORTEST_SLOT: Duration = Duration::from_secs(90);
/// The shortest limit a start may ask for (`max_duration_seconds`).
pub(super) const SHORTEST_LIMIT: Duration = Duration::from_secs(60);

/// How a show goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plot {
    /// Live, then stopped.
    Plain,
    /// The seller is away for a moment.
    Interrupted,
    /// No recording is wanted.
    Unrecorded,
    /// The seller leaves for good.
    Left,
    /// The seller never comes.
    Missing,
    /// Stopped as soon as it was started.
    Cancelled,
    /// It has a limit, and outlasts it if its slot does.
    Limited,
}

/// One show.
#[derive(Debug, Clone)]
pub(super) struct Show {
    pub(super) number: u32,
    pub(super) plot: Plot,
    /// Since the day's beginning.
    pub(super) begins: Duration,
    pub(super) ends: Duration,
}

/// One channel and its shows, one after another.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: u64,
    pub(super) shows: Vec<Show>,
}

/// So many shows in a day that lasts so long by the wall clock: as many channels as it takes.
pub(super) fn plan(shows: u32, lasts: Duration, dice: &mut StdRng) -> Vec<Channel> {
    let slots = (lasts.as_secs() / SHORTEST_SLOT.as_secs()).clamp(1, u64::from(shows));
    let slots = u32::try_from(slots).unwrap_or(1);
    let slot = lasts / slots;
    let mut channels: Vec<Channel> = Vec::new();
    for number in 0..shows {
        let place = number % slots;
        if place == 0 {
            let id = 1 + u64::from(number / slots);
            let shows = Vec::new();
            channels.push(Channel { id, shows });
        }
        let begins = slot * place + slot.mul_f64(dice.random_range(0.0..0.3));
        let ends = slot * place + slot.mul_f64(dice.random_range(0.6..0.95));
        let plot = plot(dice);
        if let Some(channel) = channels.last_mut() {
            channel.shows.push(Show {
                number,
                plot,
                begins,
                ends,
            });
        }
    }
    channels
}

fn plot(dice: &mut StdRng) -> Plot {
    match dice.random_range(0..100) {
        0..40 => Plot::Plain,
        40..60 => Plot::Interrupted,
        60..70 => Plot::Unrecorded,
        70..82 => Plot::Left,
        82..88 => Plot::Missing,
        88..94 => Plot::Cancelled,
        _ => Plot::Limited,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_show_has_its_place_and_no_channel_shows_two_at_once() {
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
    fn a_day_of_less_than_a_slot_has_a_channel_for_each_show() {
        let channels = plan(12, Duration::from_secs(15), &mut StdRng::seed_from_u64(7));
        assert_eq!(channels.len(), 12);
    }
}
